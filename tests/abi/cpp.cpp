/*
 * What tong.hpp promises, by every C++ compiler there is: see cpp.sh. Each case is a fact and one line.
 */
#include <chrono>
#include <cstring>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tong/tong.hpp>

using namespace std::chrono_literals;

static bool failed;

static void expect(bool holds, const char *what)
{
    if (!holds) {
        throw std::runtime_error(what);
    }
}

#define EXPECT(...) expect((__VA_ARGS__), #__VA_ARGS__)

static void check(const char *name, const std::function<void()> &run)
{
    try {
        run();
        std::cout << "ok - " << name << '\n';
    } catch (const std::exception &e) {
        std::cout << "not ok - " << name << "\n    " << e.what() << '\n';
        failed = true;
    }
}

/* The call throws tong::error with this code. */
static bool fails_with(std::errc code, const std::function<void()> &run)
{
    try {
        run();
    } catch (const tong::error &e) {
        return e.code() == code && e.code().category() == tong::category() &&
               std::string(e.what()).find(tong_strerror(e.code().value())) != std::string::npos;
    }
    return false;
}

/* In a child: true if it ended with 0. */
static bool in_child(const std::function<bool()> &run)
{
    const pid_t pid = fork();
    if (pid == 0) {
        bool good = false;
        try {
            good = run();
        } catch (...) {
        }
        _exit(good ? 0 : 1);
    }
    int status = 0;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

template <typename T>
constexpr bool moves_only =
    std::is_nothrow_move_constructible_v<T> &&std::is_nothrow_move_assignable_v<T> &&
    !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T>;

static_assert(moves_only<tong::mailbox> && moves_only<tong::claim> && moves_only<tong::slot>);
static_assert(moves_only<tong::observer> && moves_only<tong::region> &&
              moves_only<tong::region::guard>);

static constexpr unsigned both = TONG_SEND | TONG_RECEIVE | TONG_CREATE;

/* A mailbox that is gone at the end of the case, whatever happens in it. */
struct temporary : tong::mailbox {
    explicit temporary(const tong_options &options = tong::options())
        : tong::mailbox("cpp", both, options)
    {
    }
    ~temporary()
    {
        (void)tong_remove("cpp");
    }
};

static void message_comes_as_it_was_sent()
{
    temporary box;
    EXPECT(box.send("good morning") && box.send("", 0) && box.send(std::string("a\0b", 3), 1s));
    EXPECT(*box.receive() == "good morning" && box.receive()->empty());
    char buf[8];
    EXPECT(box.receive(buf, sizeof(buf)) == 3u && std::memcmp(buf, "a\0b", 3) == 0);
}

static void time_that_is_over_is_no_exception()
{
    tong::options one;
    one.capacity = 1;
    temporary box(one);
    EXPECT(!box.receive(0s) && !box.receive(1ms) && !box.take(1ms) && !box.skip());
    EXPECT(!box.watch(0s));
    char buf[8];
    EXPECT(!box.receive(buf, sizeof(buf), 0s));
    EXPECT(box.send("x") && !box.send("y", 0s) && !box.send("y", 1ms) && !box.reserve(1, 0s));
    EXPECT(*box.skip() == 1);
}

static void dropped_message_was_not_sent()
{
    tong::options drops;
    drops.capacity = 1;
    drops.full = TONG_DROP_NEWEST;
    temporary box(drops);
    EXPECT(box.send("x") && !box.send("y"));
    EXPECT(tong::stat("cpp").dropped == 1);
}

static void errors_compare_with_those_of_the_standard()
{
    EXPECT(
        fails_with(std::errc::no_such_file_or_directory, [] { tong::mailbox("none", TONG_SEND); }));
    EXPECT(fails_with(std::errc::invalid_argument, [] { tong::mailbox("", TONG_SEND); }));
    EXPECT(fails_with(std::errc::no_such_file_or_directory, [] { tong::remove("none"); }));
    EXPECT(fails_with(std::errc::no_such_file_or_directory, [] { tong::stat("none"); }));
    temporary box;
    EXPECT(fails_with(std::errc::file_exists, [] {
        tong::options other;
        other.capacity = 7;
        tong::mailbox("cpp", TONG_SEND, other);
    }));
    char buf[1];
    EXPECT(box.send("longer"));
    EXPECT(fails_with(std::errc::message_size, [&] { box.receive(buf, sizeof(buf)); }));
    EXPECT(*box.receive() == "longer");
    box.interrupt();
    EXPECT(fails_with(std::errc::operation_canceled, [&] { box.receive(1s); }));
    tong::remove("cpp");
    EXPECT(fails_with(std::errc::identifier_removed, [&] { box.send("x"); }));
}

static void claim_not_done_goes_to_the_next_receiver()
{
    temporary box;
    box.send("job");
    try {
        const auto job = box.take();
        EXPECT(job->view() == "job" && job->size() == 3 && job->info().deliveries == 1);
        throw std::logic_error("the work failed");
    } catch (const std::logic_error &) {
    }
    auto again = box.take(0s);
    EXPECT(again && again->info().deliveries == 2 && !again->origin());
    tong::claim moved = std::move(*again);
    EXPECT(std::memcmp(moved.data(), "job", 3) == 0);
    moved.give_back();
    again = box.take(0s);
    EXPECT(again->info().deliveries == 3);
    again->done();
    EXPECT(fails_with(std::errc::invalid_argument, [&] { again->done(); }));
    EXPECT(!box.take(0s) && tong::stat("cpp").done == 1);
}

static void dead_letter_says_where_it_comes_from()
{
    tong::options strict;
    strict.max_deliveries = 1;
    strict.dead_letter = "cpp.dead";
    tong::mailbox dead("cpp.dead", both);
    temporary box(strict);
    box.send("job");
    (void)box.take();
    EXPECT(!box.take(0s));
    const auto letter = dead.take(0s);
    EXPECT(letter && std::string(letter->origin()->name) == "cpp");
    tong::remove("cpp.dead");
}

static void message_is_written_in_place_or_not_sent()
{
    temporary box;
    auto room = box.reserve(100);
    std::memcpy(room->data(), "written", 7);
    EXPECT(room->size() == 100 && room->commit(7) && *box.receive(0s) == "written");
    EXPECT(fails_with(std::errc::invalid_argument, [&] { room->commit(1); }));
    (void)box.reserve(10);
    box.reserve(10)->abort();
    EXPECT(!box.receive(0s));
    room = box.reserve(3);
    std::memcpy(room->data(), "all", 3);
    EXPECT(room->commit() && *box.receive(0s) == "all");
}

static void many_at_once()
{
    temporary box;
    char a[] = "one", b[] = "three", c[8], d[8];
    const iovec out[] = { { a, 3 }, { b, 5 } };
    const iovec in[] = { { c, sizeof(c) }, { d, sizeof(d) } };
    std::size_t lens[2] = {};
    EXPECT(box.send_many(out, 2) == 2 && box.receive_many(in, 2, lens) == 2);
    EXPECT(lens[0] == 3 && lens[1] == 5 && std::memcmp(d, "three", 5) == 0);
    EXPECT(box.receive_many(in, 2, lens, 0s) == 0);
}

static void one_of_several_has_something()
{
    temporary first;
    tong::mailbox second("cpp.second", both);
    EXPECT(!tong::wait_any({ &first, &second }, 0s));
    second.send("x");
    EXPECT(*tong::wait_any({ &first, &second }) == 1);
    tong::remove("cpp.second");
}

static void handle_moves_and_closes()
{
    tong::options owned;
    owned.owner = TONG_PROCESS;
    tong::mailbox first("cpp", both, owned);
    tong::mailbox second = std::move(first);
    EXPECT(second.send("x") && first.native_handle() == nullptr);
    EXPECT(fails_with(std::errc::invalid_argument, [&] { first.send("x"); }));
    second.give_to_system();
    second.close();
    EXPECT(tong::stat("cpp").owner == TONG_SYSTEM);
    {
        tong::mailbox worker("cpp.worker", both, owned);
        tong::mailbox sender("cpp", TONG_SEND);
        sender.give("cpp.worker");
        EXPECT(tong::stat("cpp").owner == TONG_PROCESS);
        tong::mailbox mine("cpp", TONG_RECEIVE);
        EXPECT(*mine.receive(0s) == "x");
    }
    EXPECT(fails_with(std::errc::no_such_file_or_directory, [] { tong::stat("cpp.worker"); }));
    EXPECT(fails_with(std::errc::no_such_file_or_directory, [] { tong::stat("cpp"); }));
}

static void death_is_told()
{
    temporary box;
    EXPECT(!box.watch(0s));
    EXPECT(in_child([] {
        tong::mailbox mine("cpp", TONG_RECEIVE);
        _exit(0); /* without closing it */
        return true;
    }));
    const auto death = box.watch(10s);
    EXPECT(death && (death->roles & TONG_RECEIVE) != 0);
}

static void forked_child_opens_again()
{
    temporary box;
    EXPECT(in_child([&] {
        return fails_with(std::errc::no_child_process, [&] { box.send("x"); }) &&
               tong::mailbox("cpp", TONG_SEND).send("from the child");
    }));
    EXPECT(*box.receive(0s) == "from the child");
}

static void list_tells_of_all_and_hands_exceptions_on()
{
    temporary box;
    tong::mailbox other("cpp.other", both);
    std::vector<std::string> names;
    tong::list([&](const tong_status &status, std::error_code code) {
        EXPECT(!code);
        names.push_back(status.name);
    });
    EXPECT(names == std::vector<std::string>{ "cpp", "cpp.other" });
    bool caught = false;
    try {
        tong::list([](const tong_status &, std::error_code) { throw std::logic_error("enough"); });
    } catch (const std::logic_error &) {
        caught = true;
    }
    EXPECT(caught);
    tong::remove("cpp.other");
    EXPECT(tong::folder() == getenv("TONG_DIR"));
}

static void region_is_shared_and_locked()
{
    {
        tong::region board("cpp", 4096, TONG_READ | TONG_WRITE | TONG_CREATE);
        tong::region mapped("cpp", 0, TONG_READ | TONG_WRITE);
        EXPECT(mapped.size() == 4096);
        {
            const auto lock = board.lock();
            EXPECT(lock && !lock->recovered() && !mapped.lock(0s));
            std::memcpy(board.data(), "words", 6);
        }
        auto lock = mapped.lock(0s);
        EXPECT(lock && std::strcmp(static_cast<char *>(mapped.data()), "words") == 0);
        lock->unlock();
        std::uint32_t seen = 0;
        EXPECT(!mapped.wait(seen, 0s));
        board.notify();
        EXPECT(mapped.wait(seen) && seen == 1);
        EXPECT(in_child([] {
            tong::region dying("cpp", 0, TONG_WRITE);
            const auto held = dying.lock();
            _exit(0);
            return true;
        }));
        EXPECT(board.lock(10s)->recovered());
        EXPECT(tong::stat_region("cpp").size == 4096);
        int n = 0;
        tong::list_regions([&](const tong_region_status &, std::error_code) { n++; });
        EXPECT(n == 1);
    }
    tong::remove_region("cpp");
    EXPECT(fails_with(std::errc::no_such_file_or_directory,
                      [] { tong::region("cpp", 0, TONG_READ); }));
}

static void receiver_takes_what_it_asks_for()
{
    temporary box;
    tong::send_options said;
    said.tag = 7;
    EXPECT(box.send("plain") && box.send("tagged", said));
    said.tag = 8;
    said.priority = 5;
    EXPECT(box.send("urgent", said, 0s) && box.send("", 0, said));
    tong::receive_options wanted;
    wanted.tag = 7;
    EXPECT(*box.receive(wanted) == "tagged" && !box.receive(wanted, 0s) && !box.take(wanted, 1ms));
    tong::receive_options high;
    high.min_priority = 5;
    {
        const auto message = box.take(high);
        EXPECT(message->view() == "urgent" && message->info().priority == 5);
    }
    char buf[8];
    tong_message info = TONG_MESSAGE_INIT;
    EXPECT(box.receive(buf, sizeof(buf), high, 0s, &info) == 6u && info.deliveries == 2);
    EXPECT(box.receive(buf, sizeof(buf), high) == 0u);
    EXPECT(*box.receive() == "plain");
}

static void observer_sees_and_takes_nothing()
{
    temporary box;
    EXPECT(fails_with(std::errc::no_such_file_or_directory, [] { tong::observer("none"); }));
    box.send("one");
    tong::observer observer("cpp");
    EXPECT(*observer.peek() == "one" && !observer.peek(0s) && !observer.peek(1ms));
    box.send("longer");
    char buf[2];
    tong_message info = TONG_MESSAGE_INIT;
    EXPECT(observer.peek(buf, sizeof(buf), 1s, &info) == 6u && std::memcmp(buf, "lo", 2) == 0);
    EXPECT(info.sequence == 1 && info.deliveries == 0 && observer.missed() == 0);
    EXPECT(tong::stat("cpp").waiting == 2 && *box.receive() == "one");
}

static void descriptor_is_for_event_loops()
{
    temporary box;
    struct pollfd one = { box.fd(), POLLIN, 0 };
    EXPECT(poll(&one, 1, 0) == 0);
    box.send("x");
    EXPECT(poll(&one, 1, 0) == 1 && *box.receive(0s) == "x");
    EXPECT(box.fd(TONG_SEND) != box.fd(TONG_RECEIVE));
    EXPECT(fails_with(std::errc::invalid_argument, [&] { box.fd(0); }));
}

static void a_call_gives_its_reply()
{
    temporary box;
    const pid_t server = fork();
    if (server == 0) {
        bool good = false;
        try {
            tong::mailbox own("cpp", TONG_RECEIVE);
            auto first = own.take(10s);
            good = first && first->reply("hello " + std::string(first->view()), 10s);
            auto second = own.take(10s);
            second->done();
        } catch (...) {
        }
        _exit(good ? 0 : 1);
    }
    EXPECT(box.call("you", 10s) == "hello you");
    EXPECT(fails_with(std::errc::owner_dead, [&] { box.call("you", 10s); }));
    int status = 0;
    EXPECT(waitpid(server, &status, 0) == server && status == 0);
    EXPECT(!box.call("you", 1ms));
    EXPECT(box.send("no request"));
    auto claim = box.take(10s);
    EXPECT(fails_with(std::errc::invalid_argument, [&] { claim->reply("x"); }));
    claim->done();
}

#define CHECK(name) check(#name, name)

int main()
{
    CHECK(message_comes_as_it_was_sent);
    CHECK(time_that_is_over_is_no_exception);
    CHECK(dropped_message_was_not_sent);
    CHECK(errors_compare_with_those_of_the_standard);
    CHECK(claim_not_done_goes_to_the_next_receiver);
    CHECK(dead_letter_says_where_it_comes_from);
    CHECK(message_is_written_in_place_or_not_sent);
    CHECK(many_at_once);
    CHECK(one_of_several_has_something);
    CHECK(handle_moves_and_closes);
    CHECK(death_is_told);
    CHECK(receiver_takes_what_it_asks_for);
    CHECK(observer_sees_and_takes_nothing);
    CHECK(descriptor_is_for_event_loops);
    CHECK(a_call_gives_its_reply);
    CHECK(forked_child_opens_again);
    CHECK(list_tells_of_all_and_hands_exceptions_on);
    CHECK(region_is_shared_and_locked);
    return failed;
}
