/*
 * tong.hpp - tong for C++17 and later: handles that close themselves, exceptions, no other code.
 *
 * Each class holds one thing of <tong/tong.h>, whose contracts hold here as they stand there:
 *
 *     mailbox   an open mailbox                closed at its end
 *     claim     a message read in place        given back at its end, unless done()
 *     slot      a message written in place     given up at its end, unless commit()
 *     observer  looks and takes nothing        closed at its end
 *     region    mapped shared memory           unmapped at its end
 *     region::guard   the lock of a region     unlocked at its end
 *
 * All can be moved and not copied. A claim, slot or guard must not outlive its mailbox or region.
 *
 * A call that may run out of time gives an empty optional, or false, when it did; also a send that the
 * mailbox dropped is false, and with TONG_DROP_OLDEST one that was sent in an older one's place.
 * Everything else that goes wrong is a tong::error, which is a std::system_error: e.code() ==
 * std::errc::message_size. Times are durations of <chrono>, 0 does not wait, tong::forever, which is
 * what they are if you don't say, has no limit.
 */
#ifndef TONG_TONG_HPP
#define TONG_TONG_HPP

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <tong/tong.h>

namespace tong
{

using timeout = std::chrono::nanoseconds;

inline constexpr timeout forever{ TONG_FOREVER };

/* Answers of the library, as positive numbers of errno; they compare with std::errc. */
inline const std::error_category &category() noexcept
{
    struct answers final : std::error_category {
        const char *name() const noexcept override
        {
            return "tong";
        }
        std::string message(int code) const override
        {
            return tong_strerror(code);
        }
        std::error_condition default_error_condition(int code) const noexcept override
        {
            return std::generic_category().default_error_condition(code);
        }
    };
    static const answers instance;
    return instance;
}

/* What went wrong, and with which name. */
class error : public std::system_error
{
  public:
    error(int answer, const std::string &what)
        : std::system_error(answer < 0 ? -answer : answer, category(), what)
    {
    }
};

namespace detail
{

inline bool is_late(long long answer) noexcept
{
    return answer == -EAGAIN || answer == -ETIMEDOUT;
}

/* The answer, if it is none of failure. */
template <typename T> T checked(T answer, const char *what)
{
    if (answer < 0) {
        throw error(static_cast<int>(answer), what);
    }
    return answer;
}

/* What a callback of the library threw leaves the library first, and is thrown on then. */
template <typename F> struct visitor {
    F &each;
    std::exception_ptr thrown;

    template <typename Status> static int call(const Status *status, int error, void *self) noexcept
    {
        auto &mine = *static_cast<visitor *>(self);
        try {
            mine.each(*status, std::error_code(error < 0 ? -error : error, category()));
            return 0;
        } catch (...) {
            mine.thrown = std::current_exception();
            return 1;
        }
    }
};

} // namespace detail

/* The options of a mailbox, with the defaults of TONG_OPTIONS_INIT. */
struct options : tong_options {
    options() noexcept : tong_options(TONG_OPTIONS_INIT)
    {
    }
};

/* What is said of a message: key, tag, priority, expiry, where the reply goes. */
struct send_options : tong_send_options {
    send_options() noexcept : tong_send_options(TONG_SEND_OPTIONS_INIT)
    {
    }
};

/* Which messages are wanted, by sender, tag, priority; the others wait in their order. */
struct receive_options : tong_receive_options {
    receive_options() noexcept : tong_receive_options(TONG_RECEIVE_OPTIONS_INIT)
    {
    }
};

struct region_options : tong_region_options {
    region_options() noexcept : tong_region_options(TONG_REGION_OPTIONS_INIT)
    {
    }
};

/* A message that was taken and is read in place. */
class claim
{
  public:
    claim(claim &&other) noexcept
        : box_(std::exchange(other.box_, nullptr)), message_(other.message_)
    {
    }
    claim &operator=(claim &&other) noexcept
    {
        std::swap(box_, other.box_);
        std::swap(message_, other.message_);
        return *this;
    }
    /* Who did not say done() did not finish: the next receiver gets it. */
    ~claim()
    {
        if (box_) {
            (void)tong_return(box_, &message_);
        }
    }

    const void *data() const noexcept
    {
        return message_.data;
    }
    std::size_t size() const noexcept
    {
        return message_.len;
    }
    std::string_view view() const noexcept
    {
        return { static_cast<const char *>(message_.data), message_.len };
    }
    /* Its number, how often it was handed out, who sent it. */
    const tong_message &info() const noexcept
    {
        return message_;
    }

    /* Where it comes from, if it is a dead letter. */
    std::optional<tong_origin> origin() const
    {
        tong_origin origin = TONG_ORIGIN_INIT;
        if (detail::checked(tong_origin_of(box_, &message_, &origin), "origin") == 0) {
            return std::nullopt;
        }
        return origin;
    }

    /* Finished: data() is no longer there. */
    void done()
    {
        detail::checked(tong_done(std::exchange(box_, nullptr), &message_), "done");
    }
    /* Answered and finished, whether its caller is there still or not. False: the time is over, and it is
     * to be answered still. */
    bool reply(const void *data, std::size_t len, timeout limit = forever)
    {
        const int r = tong_reply(box_, &message_, data, len, limit.count());
        if (detail::is_late(r)) {
            return false;
        }
        if (r != -ENOENT) {
            detail::checked(r, "reply");
        }
        box_ = nullptr;
        return true;
    }
    bool reply(std::string_view text, timeout limit = forever)
    {
        return reply(text.data(), text.size(), limit);
    }
    /* For whoever receives next. */
    void give_back()
    {
        detail::checked(tong_return(std::exchange(box_, nullptr), &message_), "return");
    }

  private:
    friend class mailbox;
    claim(tong_mailbox *box, const tong_message &message) noexcept : box_(box), message_(message)
    {
    }

    tong_mailbox *box_;
    tong_message message_;
};

/* A message that is being written in place. */
class slot
{
  public:
    slot(slot &&other) noexcept : box_(std::exchange(other.box_, nullptr)), slot_(other.slot_)
    {
    }
    slot &operator=(slot &&other) noexcept
    {
        std::swap(box_, other.box_);
        std::swap(slot_, other.slot_);
        return *this;
    }
    ~slot()
    {
        if (box_) {
            (void)tong_abort(box_, &slot_);
        }
    }

    void *data() const noexcept
    {
        return slot_.data;
    }
    std::size_t size() const noexcept
    {
        return slot_.len;
    }

    /* Sends len bytes of it. False: at capacity 0, and nobody took it in time. */
    bool commit(std::size_t len)
    {
        const int r = tong_commit(box_, &slot_, len);
        if (r != -EINVAL && r != -EMSGSIZE) {
            box_ = nullptr;
        }
        return !detail::is_late(r) && detail::checked(r, "commit") == 0;
    }
    bool commit()
    {
        return commit(slot_.len);
    }
    void abort()
    {
        detail::checked(tong_abort(std::exchange(box_, nullptr), &slot_), "abort");
    }

  private:
    friend class mailbox;
    slot(tong_mailbox *box, const tong_slot &room) noexcept : box_(box), slot_(room)
    {
    }

    tong_mailbox *box_;
    tong_slot slot_;
};

class mailbox
{
  public:
    /* flags: TONG_SEND, TONG_RECEIVE, TONG_CREATE, TONG_EXCL. */
    mailbox(const std::string &name, unsigned flags) : mailbox(name, flags, nullptr)
    {
    }
    mailbox(const std::string &name, unsigned flags, const tong_options &options)
        : mailbox(name, flags, &options)
    {
    }

    /* Closes it now; what cannot be said by a destructor is said here. */
    void close()
    {
        detail::checked(tong_close(box_.release()), "close");
    }

    /* False: the time is over, or the mailbox was full and drops: this message, or with
     * TONG_DROP_OLDEST an older one, and this one was sent. */
    bool send(const void *data, std::size_t len, timeout limit = forever)
    {
        const int r = tong_send(box_.get(), data, len, limit.count());
        return !detail::is_late(r) && detail::checked(r, "send") == 0;
    }
    bool send(std::string_view text, timeout limit = forever)
    {
        return send(text.data(), text.size(), limit);
    }
    bool send(const void *data, std::size_t len, const tong_send_options &with,
              timeout limit = forever)
    {
        const int r = tong_send_with(box_.get(), data, len, &with, limit.count());
        return !detail::is_late(r) && detail::checked(r, "send") == 0;
    }
    bool send(std::string_view text, const tong_send_options &with, timeout limit = forever)
    {
        return send(text.data(), text.size(), with, limit);
    }
    /* How many were sent, 0 if the time is over. */
    std::size_t send_many(const struct iovec *messages, std::size_t n, timeout limit = forever)
    {
        return count(tong_send_many(box_.get(), messages, n, limit.count()), "send_many");
    }
    std::optional<slot> reserve(std::size_t len, timeout limit = forever)
    {
        tong_slot room = TONG_SLOT_INIT;
        const int r = tong_reserve(box_.get(), len, limit.count(), &room);
        if (detail::is_late(r)) {
            return std::nullopt;
        }
        detail::checked(r, "reserve");
        return slot(box_.get(), room);
    }

    /* The length of the message, which is in buf. */
    std::optional<std::size_t> receive(void *buf, std::size_t size, timeout limit = forever)
    {
        return length(tong_receive(box_.get(), buf, size, limit.count()), "receive");
    }
    /* A message of any length. */
    std::optional<std::string> receive(timeout limit = forever)
    {
        std::optional<claim> message = take(limit);
        if (!message) {
            return std::nullopt;
        }
        return text_of(*message);
    }
    /* The same of those that are wanted. info, if not NULL: what is known of it. */
    std::optional<std::size_t> receive(void *buf, std::size_t size,
                                       const tong_receive_options &with, timeout limit = forever,
                                       tong_message *info = nullptr)
    {
        return length(tong_receive_with(box_.get(), buf, size, &with, limit.count(), info),
                      "receive");
    }
    std::optional<std::string> receive(const tong_receive_options &with, timeout limit = forever)
    {
        std::optional<claim> message = take(with, limit);
        if (!message) {
            return std::nullopt;
        }
        return text_of(*message);
    }
    /* How many were received, their lengths in lens; 0 if the time is over. */
    std::size_t receive_many(const struct iovec *buffers, std::size_t n, std::size_t *lens,
                             timeout limit = forever)
    {
        return count(tong_receive_many(box_.get(), buffers, n, limit.count(), lens),
                     "receive_many");
    }
    /* tong_claim: the next message, to be read in place. */
    std::optional<claim> take(timeout limit = forever)
    {
        tong_message message = TONG_MESSAGE_INIT;
        const int r = tong_claim(box_.get(), limit.count(), &message);
        if (detail::is_late(r)) {
            return std::nullopt;
        }
        detail::checked(r, "claim");
        return claim(box_.get(), message);
    }
    std::optional<claim> take(const tong_receive_options &with, timeout limit = forever)
    {
        tong_message message = TONG_MESSAGE_INIT;
        const int r = tong_claim_with(box_.get(), &with, limit.count(), &message);
        if (detail::is_late(r)) {
            return std::nullopt;
        }
        detail::checked(r, "claim");
        return claim(box_.get(), message);
    }
    /* Throws the next message away; its length, or nothing if there is none. */
    std::optional<std::size_t> skip()
    {
        return length(tong_skip(box_.get()), "skip");
    }

    /* tong_call: the length of the reply, which is in buf. std::errc::owner_dead: nobody answers. */
    std::optional<std::size_t> call(const void *request, std::size_t len, void *buf,
                                    std::size_t size, timeout limit = forever)
    {
        return length(tong_call(box_.get(), request, len, buf, size, limit.count()), "call");
    }
    /* The same with a reply of at most so many bytes. */
    std::optional<std::string> call(std::string_view request, timeout limit = forever,
                                    std::size_t most = 65536)
    {
        std::string reply(most, '\0');
        const auto n = call(request.data(), request.size(), reply.data(), reply.size(), limit);
        if (!n) {
            return std::nullopt;
        }
        reply.resize(*n);
        return reply;
    }

    /* The next death of a process that uses the mailbox. */
    std::optional<tong_death> watch(timeout limit = forever)
    {
        tong_death death = TONG_DEATH_INIT;
        const int r = tong_watch(box_.get(), limit.count(), &death);
        if (detail::is_late(r)) {
            return std::nullopt;
        }
        detail::checked(r, "watch");
        return death;
    }
    /* Another owner: a process, by the name of a mailbox that it owns; or the system. */
    void give(const std::string &process)
    {
        detail::checked(tong_give(box_.get(), process.c_str()), "give");
    }
    /* Another delivery policy: options.delivery, or options.policy by its name. */
    void set_delivery(const options &wanted)
    {
        detail::checked(tong_set(box_.get(), &wanted, TONG_SET_DELIVERY), "set");
    }
    void give_to_system()
    {
        detail::checked(tong_give(box_.get(), nullptr), "give");
    }
    /* tong_fd: a descriptor for event loops; what: TONG_RECEIVE or TONG_SEND. It stays this object's. */
    int fd(unsigned what = TONG_RECEIVE)
    {
        return detail::checked(tong_fd(box_.get(), what), "fd");
    }
    /* Ends the calls that wait with std::errc::operation_canceled. For signal handlers, too. */
    void interrupt() noexcept
    {
        (void)tong_interrupt(box_.get());
    }

    /* For calls of <tong/tong.h> that have no method here. It stays this object's. */
    tong_mailbox *native_handle() const noexcept
    {
        return box_.get();
    }

  private:
    struct closer {
        void operator()(tong_mailbox *box) const noexcept
        {
            (void)tong_close(box);
        }
    };

    mailbox(const std::string &name, unsigned flags, const tong_options *options)
    {
        tong_mailbox *box = nullptr;
        detail::checked(tong_open(name.c_str(), flags, options, &box), name.c_str());
        box_.reset(box);
    }

    static std::string text_of(claim &message)
    {
        std::string text(message.view());
        message.done();
        return text;
    }
    static std::size_t count(ssize_t answer, const char *what)
    {
        return detail::is_late(answer) ? 0
                                       : static_cast<std::size_t>(detail::checked(answer, what));
    }
    static std::optional<std::size_t> length(ssize_t answer, const char *what)
    {
        if (detail::is_late(answer)) {
            return std::nullopt;
        }
        return static_cast<std::size_t>(detail::checked(answer, what));
    }

    std::unique_ptr<tong_mailbox, closer> box_;
};

/* Looks at what is in a mailbox and at what comes, and takes nothing; its users do not notice. */
class observer
{
  public:
    explicit observer(const std::string &name)
    {
        tong_observer *opened = nullptr;
        detail::checked(tong_observer_open(name.c_str(), &opened), name.c_str());
        observer_.reset(opened);
    }

    /* The next message that this observer has not seen: its length, of which size bytes at most are in
     * buf. info, if not NULL: what is known of it. */
    std::optional<std::size_t> peek(void *buf, std::size_t size, timeout limit = forever,
                                    tong_message *info = nullptr)
    {
        const ssize_t n = tong_peek(observer_.get(), buf, size, limit.count(), info, &missed_);
        if (detail::is_late(n)) {
            return std::nullopt;
        }
        return static_cast<std::size_t>(detail::checked(n, "peek"));
    }
    /* The same, of at most so many bytes. */
    std::optional<std::string> peek(timeout limit = forever, std::size_t most = 65536)
    {
        std::string text(most, '\0');
        const auto n = peek(text.data(), text.size(), limit);
        if (!n) {
            return std::nullopt;
        }
        text.resize(*n < most ? *n : most);
        return text;
    }
    /* How many messages went by unseen, as far as is known. */
    std::uint64_t missed() const noexcept
    {
        return missed_;
    }

  private:
    struct closer {
        void operator()(tong_observer *observer) const noexcept
        {
            (void)tong_observer_close(observer);
        }
    };

    std::unique_ptr<tong_observer, closer> observer_;
    std::uint64_t missed_ = 0;
};

/* Named memory that several processes share. */
class region
{
  public:
    /* size 0: as it is. flags: TONG_READ, TONG_WRITE, TONG_CREATE, TONG_EXCL. */
    region(const std::string &name, std::size_t size, unsigned flags)
        : region(name, size, flags, nullptr)
    {
    }
    region(const std::string &name, std::size_t size, unsigned flags,
           const tong_region_options &options)
        : region(name, size, flags, &options)
    {
    }
    void close()
    {
        detail::checked(tong_region_close(region_.release()), "close");
    }

    void *data() const noexcept
    {
        return tong_region_data(region_.get());
    }
    std::size_t size() const noexcept
    {
        return tong_region_size(region_.get());
    }

    /* The lock, as long as it lives. */
    class guard
    {
      public:
        guard(guard &&other) noexcept
            : region_(std::exchange(other.region_, nullptr)), recovered_(other.recovered_)
        {
        }
        guard &operator=(guard &&other) noexcept
        {
            std::swap(region_, other.region_);
            std::swap(recovered_, other.recovered_);
            return *this;
        }
        ~guard()
        {
            if (region_) {
                (void)tong_region_unlock(region_);
            }
        }
        /* The holder before died inside: look at the data first. */
        bool recovered() const noexcept
        {
            return recovered_;
        }
        void unlock()
        {
            detail::checked(tong_region_unlock(std::exchange(region_, nullptr)), "unlock");
        }

      private:
        friend class region;
        guard(tong_region *locked, bool recovered) noexcept : region_(locked), recovered_(recovered)
        {
        }

        tong_region *region_;
        bool recovered_;
    };

    std::optional<guard> lock(timeout limit = forever)
    {
        const int r = tong_region_lock(region_.get(), limit.count());
        if (detail::is_late(r)) {
            return std::nullopt;
        }
        return guard(region_.get(), detail::checked(r, "lock") == TONG_RECOVERED);
    }
    void notify()
    {
        detail::checked(tong_region_notify(region_.get()), "notify");
    }
    /* Until an event after those in seen, which begins with 0. False: the time is over. */
    bool wait(std::uint32_t &seen, timeout limit = forever)
    {
        const int r = tong_region_wait(region_.get(), &seen, limit.count());
        return !detail::is_late(r) && detail::checked(r, "wait") == 0;
    }

    tong_region *native_handle() const noexcept
    {
        return region_.get();
    }

  private:
    struct closer {
        void operator()(tong_region *opened) const noexcept
        {
            (void)tong_region_close(opened);
        }
    };

    region(const std::string &name, std::size_t size, unsigned flags,
           const tong_region_options *options)
    {
        tong_region *opened = nullptr;
        detail::checked(tong_region_open(name.c_str(), size, flags, options, &opened),
                        name.c_str());
        region_.reset(opened);
    }

    std::unique_ptr<tong_region, closer> region_;
};

/* Which of the mailboxes has something, or has ended; nothing if the time is over. */
inline std::optional<std::size_t> wait_any(const std::vector<const mailbox *> &boxes,
                                           timeout limit = forever)
{
    std::vector<tong_mailbox *> handles;
    for (const mailbox *const box : boxes) {
        handles.push_back(box->native_handle());
    }
    const int r = tong_wait_any(handles.data(), handles.size(), limit.count());
    if (detail::is_late(r)) {
        return std::nullopt;
    }
    return static_cast<std::size_t>(detail::checked(r, "wait_any"));
}

/* Ends a mailbox by name. */
inline void remove(const std::string &name)
{
    detail::checked(tong_remove(name.c_str()), name.c_str());
}

inline tong_status stat(const std::string &name)
{
    tong_status status = TONG_STATUS_INIT;
    detail::checked(tong_stat(name.c_str(), &status), name.c_str());
    return status;
}

/* each(const tong_status &, std::error_code) for every mailbox; with an error only the name is set. */
template <typename F> void list(F &&each)
{
    detail::visitor<F> visitor{ each, nullptr };
    const int r = tong_list(detail::visitor<F>::template call<tong_status>, &visitor);
    if (visitor.thrown) {
        std::rethrow_exception(visitor.thrown);
    }
    detail::checked(r, "list");
}

inline void remove_region(const std::string &name)
{
    detail::checked(tong_region_remove(name.c_str()), name.c_str());
}

inline tong_region_status stat_region(const std::string &name)
{
    tong_region_status status = TONG_REGION_STATUS_INIT;
    detail::checked(tong_region_stat(name.c_str(), &status), name.c_str());
    return status;
}

template <typename F> void list_regions(F &&each)
{
    detail::visitor<F> visitor{ each, nullptr };
    const int r = tong_region_list(detail::visitor<F>::template call<tong_region_status>, &visitor);
    if (visitor.thrown) {
        std::rethrow_exception(visitor.thrown);
    }
    detail::checked(r, "list_regions");
}

inline std::string folder()
{
    std::string path(4096, '\0');
    const int len = detail::checked(tong_folder(path.data(), path.size()), "folder");
    path.resize(static_cast<std::size_t>(len));
    return path;
}

} // namespace tong

#endif
