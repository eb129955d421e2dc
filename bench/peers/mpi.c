/*
 * MPI_Send and MPI_Recv between two ranks, started by the launcher: Open MPI or MPICH. Both poll.
 */
#include "peer.h"

#include <errno.h>
#include <mpi.h>
#include <stdlib.h>

struct handle {
    int size;
    int other;
};

static int start(int *argc, char ***argv)
{
    int rank;
    MPI_Init(argc, argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return rank;
}

static int open_(const struct peer_place *place, void **ret_handle)
{
    struct handle *h = calloc(1, sizeof *h);
    *h = (struct handle){ (int)place->size, 1 - place->side };
    *ret_handle = h;
    return 0;
}

static int send_(void *handle, const void *data)
{
    struct handle *h = handle;
    return MPI_Send(data, h->size, MPI_BYTE, h->other, 0, MPI_COMM_WORLD) == MPI_SUCCESS ? 0 : -EIO;
}

static int receive(void *handle, void *data)
{
    struct handle *h = handle;
    return MPI_Recv(data, h->size, MPI_BYTE, h->other, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE) ==
                   MPI_SUCCESS
               ? 0
               : -EIO;
}

static void close_(void *handle)
{
    MPI_Finalize();
    free(handle);
}

const struct peer peer = {
    .name = PEER_MPI,
    .version = PEER_VERSION,
    .modes = "poll",
    .start = start,
    .open = open_,
    .send = send_,
    .receive = receive,
    .close = close_,
};
