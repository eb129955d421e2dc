/* The main of the command, as cli.c calls it. */
#ifndef TONG_FUZZ_CLI_H
#define TONG_FUZZ_CLI_H

int tool_main(int argc, char **argv);

#endif
