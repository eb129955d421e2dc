"""Mailboxes: send, receive, claim, reserve."""

from __future__ import annotations

import ctypes
import enum
import errno
import weakref
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Callable, List, Optional, Sequence, Tuple, Type, TypeVar, Union

from . import _c
from ._c import lib
from ._errors import Error, NoSuchName, checked, error, pointer_to, to_ns, waited, writable
from ._memory import Memory

Bytes = Union[bytes, bytearray, memoryview, Any]
T = TypeVar("T")
_Id = bytes

SEND = 0x01
RECEIVE = 0x02
CREATE = 0x04
EXCL = 0x08
UNBOUNDED = 2**32 - 1

_VERIFIED_UID = 0x1


class Delivery(enum.IntEnum):
    """Who gets a message when several receivers wait."""

    FIRST_COME = 0
    ANY = 1
    EXCLUSIVE = 2
    ROUND_ROBIN = 3
    RANDOM = 4
    LEAST_LOADED = 5
    BY_KEY = 6
    EVERYONE = 7


class Owner(enum.IntEnum):
    """Whose it is: it stays until it is removed, or it ends with its process."""

    SYSTEM = 0
    PROCESS = 1


class Full(enum.IntEnum):
    """What a send does when there is no room."""

    BLOCK = 0
    DROP_NEWEST = 1
    DROP_OLDEST = 2


@dataclass(frozen=True)
class Options:
    """What a mailbox is, as tong_options of tong.h."""

    delivery: int = Delivery.FIRST_COME
    owner: int = Owner.SYSTEM
    full: int = Full.BLOCK
    capacity: int = UNBOUNDED
    link_capacity: int = 0
    message_size: int = 0
    mode: int = 0o600
    max_bytes: int = 256 << 20
    max_deliveries: int = 0
    dead_letter: Optional[str] = None
    by_priority: bool = False

    def _struct(self) -> _c.Options:
        fields = dict(self.__dict__)
        fields["dead_letter"] = self.dead_letter.encode() if self.dead_letter else None
        return _c.Options(**fields)


@dataclass(frozen=True)
class Status:
    """What tong_stat() tells: the fields of tong_status in tong.h, by the same names."""

    name: str
    carrier: str
    id: _Id
    delivery: int
    owner: int
    full: int
    capacity: int
    link_capacity: int
    message_size: int
    mode: int
    max_bytes: int
    owner_uid: int
    owner_pid: int
    links: int
    senders: int
    senders_blocked: int
    receivers: int
    receivers_asleep: int
    claimed: int
    waiting: int
    sent: int
    done: int
    dropped: int
    redelivered: int
    deaths: int
    bytes: int
    backstop_finds: int
    dead_letters: int
    set_aside: int
    max_deliveries: int
    dead_letter: str


@dataclass(frozen=True)
class Origin:
    """Where a dead letter comes from."""

    name: str
    id: bytes
    sequence: int
    deliveries: int
    uid: int
    pid: int


@dataclass(frozen=True)
class Death:
    """The death of a process that used a mailbox. roles: SEND, RECEIVE, or both."""

    roles: int
    pid: int
    uid: int


def from_struct(kind: Callable[..., T], struct: ctypes.Structure) -> T:
    """The dataclass with the fields of the struct."""
    fields = {}
    for name in kind.__dataclass_fields__:  # type: ignore[attr-defined]
        value = getattr(struct, name)
        if isinstance(value, bytes):
            value = value.decode(errors="surrogateescape")
        elif isinstance(value, ctypes.Array):
            value = bytes(value)
        fields[name] = value
    return kind(**fields)


class _InPlace:
    """Bytes in the mailbox's memory, until they are finished. It is a buffer itself where Python knows
    __buffer__ (3.12); data is one everywhere."""

    _box: Optional["Mailbox"]

    def __init__(self, box: "Mailbox", address: Optional[int], length: int, readonly: bool) -> None:
        self._box = box
        self._memory = Memory(address, length, readonly)
        box._in_place.add(self)

    @property
    def data(self) -> memoryview:
        """The bytes."""
        return self._memory.view

    def __len__(self) -> int:
        return len(self.data)

    def __buffer__(self, flags: int) -> memoryview:
        return self.data

    def __bytes__(self) -> bytes:
        return bytes(self.data)

    def _take_box(self) -> "Mailbox":
        box = self._box
        if box is None:
            raise ValueError("it is finished already")
        self._release()
        box._in_place.discard(self)
        return box

    def _release(self) -> None:
        """Ends the access to the memory. BufferError: somebody still has a view of it."""
        self._memory.release()
        self._box = None

    def _finish(self, call: Callable[..., int], *more: Any) -> int:
        box = self._take_box()
        with box._inside() as handle:
            return call(handle, *more)


    def _give_up(self, call: Callable[..., int], struct: ctypes.Structure) -> None:
        """Nobody finished it, and nobody can any more."""
        if getattr(self, "_box", None) is not None:
            try:
                self._finish(call, struct)
            except (BufferError, ValueError):
                pass


class Claim(_InPlace):
    """A message that was taken and is read in place. As a context manager it is done at the end, and
    given back to the next receiver if an exception ends it, or if nobody has the object any more. It
    cannot be finished while a slice of data, or another view of it, is alive: BufferError."""

    def __init__(self, box: "Mailbox", message: _c.Message) -> None:
        self._message = message
        super().__init__(box, message.data, message.len, readonly=True)

    deliveries = property(lambda self: self._message.deliveries, doc="1 the first time")
    sequence = property(lambda self: self._message.sequence, doc="number in its sender's link")
    uid = property(lambda self: self._message.uid, doc="the sender's user")
    gid = property(lambda self: self._message.gid, doc="its group, as it says itself")
    pid = property(lambda self: self._message.pid, doc="its process, as it says itself")
    uid_verified = property(
        lambda self: bool(self._message.verified & _VERIFIED_UID), doc="the kernel vouches for uid"
    )

    key = property(lambda self: self._message.key, doc="what the message is about, 0 nothing said")
    tag = property(lambda self: self._message.tag, doc="what it is, 0 nothing said")
    call = property(lambda self: self._message.call, doc="a number that comes back with the reply")
    priority = property(lambda self: self._message.priority, doc="0 to 31")
    sender = property(lambda self: self._message.sender.decode(), doc="its process, if it has a name")
    reply_to = property(lambda self: self._message.reply_to.decode(), doc="the mailbox for a reply")

    @property
    def origin(self) -> Optional[Origin]:
        """Where it comes from, if it is a dead letter."""
        if self._box is None:
            raise ValueError("it is finished already")
        origin = _c.Origin()
        with self._box._inside() as handle:
            r = lib.tong_origin_of(handle, self._message, origin)
        return from_struct(Origin, origin) if checked(r, self._box.name) else None

    def __del__(self) -> None:
        self._give_up(lib.tong_return, self._message)

    def done(self) -> None:
        """Finished: its room is free."""
        checked(self._finish(lib.tong_done, self._message))

    def reply(self, data: Bytes, timeout: Optional[float] = None) -> bool:
        """Answers the request that it is, and finishes it. False: its caller is gone, and it is
        finished. Timeout: it is to be answered still."""
        box = self._box
        if box is None:
            raise ValueError("it is finished already")
        pointer, length = pointer_to(data)
        self._memory.release()
        answered = True
        with box._inside() as handle:
            try:
                waited(
                    lambda ns: lib.tong_reply(handle, self._message, pointer, length, ns),
                    timeout,
                    box.name,
                )
            except NoSuchName:
                answered = False
            except BaseException:
                self._memory.look()
                raise
        self._take_box()
        return answered

    def give_back(self) -> None:
        """For whoever receives next."""
        checked(self._finish(lib.tong_return, self._message))

    def __enter__(self) -> "Claim":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self._box is not None:
            self.done() if kind is None else self.give_back()


class Slot(_InPlace):
    """A message that is being written in place. As a context manager it is sent at the end, and given
    up if an exception ends it. The thread that reserved it finishes it."""

    def __init__(self, box: "Mailbox", slot: _c.Slot) -> None:
        self._slot = slot
        super().__init__(box, slot.data, slot.len, readonly=False)

    def commit(self, length: Optional[int] = None) -> None:
        """Sends the first length bytes of it; without one, all."""
        n = len(self) if length is None else length
        if not 0 <= n <= len(self):
            raise ValueError(f"length must be 0 to {len(self)}")
        name = self._box.name if self._box else None
        box = self._take_box()
        with box._inside() as handle:
            answer = lib.tong_commit(handle, self._slot, n)
            if answer in (-errno.EINVAL, -errno.EMSGSIZE):
                lib.tong_abort(handle, self._slot)
        checked(answer, name)

    def __del__(self) -> None:
        self._give_up(lib.tong_abort, self._slot)

    def abort(self) -> None:
        """Gives it up: nothing is sent."""
        checked(self._finish(lib.tong_abort, self._slot))

    def __enter__(self) -> "Slot":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self._box is not None:
            self.commit() if kind is None else self.abort()


class _Inside:
    """A thread is inside a call of the library: the handle must stay."""

    __slots__ = ("_box",)

    def __init__(self, box: Any) -> None:
        self._box = box

    def __enter__(self) -> int:
        self._box._threads.append(None)
        handle = self._box._handle
        if handle is None:
            self._box._threads.pop()
            raise ValueError("it is closed")
        return handle  # type: ignore[no-any-return]

    def __exit__(self, *_: Any) -> None:
        self._box._threads.pop()


class Handle:
    """What mailboxes and regions have in common: a handle that is closed at the end."""

    name: str
    _handle: Optional[int]

    def __init__(self, name: str, handle: int) -> None:
        self.name = name
        self._threads: List[None] = []  # one entry for each thread inside a call
        self._handle = handle

    def _inside(self) -> _Inside:
        return _Inside(self)

    def _close(self, call: Callable[[int], int]) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            try:
                self._must_be_alone()
            except RuntimeError:
                self._handle = handle
                raise
            checked(call(handle), self.name)

    def _must_be_alone(self) -> None:
        if self._threads:
            raise RuntimeError("another thread is inside a call; end it first, as with interrupt()")

    @property
    def closed(self) -> bool:
        return self._handle is None


def key_of(data: bytes) -> int:
    """A number, never 0, for a key that is bytes: the same in every process."""
    return lib.tong_key(data, len(data))  # type: ignore[no-any-return]


def _send_options(
    priority: int = 0,
    tag: int = 0,
    key: Union[int, bytes] = 0,
    call: int = 0,
    expiry: Optional[float] = None,
    reply_to: Optional[str] = None,
) -> _c.SendOptions:
    return _c.SendOptions(
        priority=priority,
        tag=tag,
        key=key_of(key) if isinstance(key, bytes) else key,
        call=call,
        expiry_ns=0 if expiry is None else to_ns(expiry),
        reply_to=reply_to.encode() if reply_to else None,
    )


def _receive_options(
    sender: Optional[str] = None, tag: int = 0, min_priority: int = 0
) -> _c.ReceiveOptions:
    return _c.ReceiveOptions(
        from_=sender.encode() if sender else None, tag=tag, min_priority=min_priority
    )


class Mailbox(Handle):
    """An open mailbox: tong_open() of tong.h, which has the contracts of all that is here.

    flags: SEND, RECEIVE or both; CREATE, EXCL. Further arguments are those of Options; without any the
    mailbox is taken as it is, or made with the defaults.

    Every timeout is in seconds; None has no limit, 0 does not wait. Any thread may use it.
    """

    def __init__(self, name: str, flags: int, **options: Any) -> None:
        handle = ctypes.c_void_p()
        struct = Options(**options)._struct() if options else None
        self._handle = None
        checked(lib.tong_open(name.encode(), flags, struct, handle), name)
        self._in_place: "weakref.WeakSet[_InPlace]" = weakref.WeakSet()
        super().__init__(name, handle.value or 0)

    def close(self) -> None:
        """Closes the handle. What is claimed goes to the next receiver; a mailbox that it owns ends."""
        self._must_be_alone()
        for part in list(self._in_place):
            part._release()
        self._close(lib.tong_close)

    def __enter__(self) -> "Mailbox":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if self._handle is not None and not self._threads:
            lib.tong_close(self._handle)
            self._handle = None

    # ---- send

    def send(self, data: Bytes, timeout: Optional[float] = None, **what: Any) -> bool:
        """Puts one message in. False: the mailbox was full, and it is one that drops then: this message, or
        with drop-oldest an older one, and this one was sent.

        What its receiver shall know of it: priority (0 to 31), tag, key (a number, or bytes), call,
        expiry (seconds), reply_to (a name)."""
        pointer, length = pointer_to(data)
        with self._inside() as handle:
            if what:
                options = _send_options(**what)
                return not waited(
                    lambda ns: lib.tong_send_with(handle, pointer, length, options, ns),
                    timeout,
                    self.name,
                )
            return not waited(
                lambda ns: lib.tong_send(handle, pointer, length, ns), timeout, self.name
            )

    def reserve(self, length: int, timeout: Optional[float] = None) -> Slot:
        """Room for a message, to be written in place."""
        slot = _c.Slot()
        with self._inside() as handle:
            waited(lambda ns: lib.tong_reserve(handle, length, ns, slot), timeout, self.name)
        return Slot(self, slot)

    def call(
        self, data: Bytes, timeout: Optional[float] = None, size: int = 65536, **what: Any
    ) -> bytes:
        """Sends a request and gives its reply, of at most size bytes (TooLong). Ended: nobody answers,
        since who had it died, or finished it without a reply. what: as for send(), but call and
        reply_to.

        A signal handler that runs meanwhile ends it with an Error (errno EINTR), for it would be
        asked twice otherwise."""
        pointer, length = pointer_to(data)
        options = _send_options(**what)
        buffer = bytearray(size)
        room = writable(buffer) if size else None
        info = _c.Message()
        with self._inside() as handle:
            answer = lib.tong_call_with(
                handle, pointer, length, options, room, size, to_ns(timeout), info
            )
        del room
        checked(answer, self.name)
        return bytes(memoryview(buffer)[:answer])

    # ---- receive

    def receive(self, timeout: Optional[float] = None, **which: Any) -> bytes:
        """Takes the next message, whatever its length. which: as for claim()."""
        claim = self.claim(timeout, **which)
        data = bytes(claim)
        claim.done()
        return data

    def receive_into(self, buffer: Bytes, timeout: Optional[float] = None, **which: Any) -> int:
        """Takes the next message into a buffer and gives its length. TooLong: it stays. which: as for
        claim()."""
        pointer = writable(buffer)
        with self._inside() as handle:
            if which:
                options = _receive_options(**which)
                return waited(
                    lambda ns: lib.tong_receive_with(
                        handle, pointer, len(pointer), options, ns, None
                    ),
                    timeout,
                    self.name,
                )
            return waited(
                lambda ns: lib.tong_receive(handle, pointer, len(pointer), ns), timeout, self.name
            )

    def claim(self, timeout: Optional[float] = None, **which: Any) -> Claim:
        """Takes the next message, to be read in place; it counts until it is done.

        Which one, and the rest waits in its order: sender (a process, by its name), tag (that one), min_priority
        (that one or a higher)."""
        message = _c.Message()
        options = _receive_options(**which) if which else None
        with self._inside() as handle:
            if options is not None:
                waited(
                    lambda ns: lib.tong_claim_with(handle, options, ns, message), timeout, self.name
                )
            else:
                waited(lambda ns: lib.tong_claim(handle, ns, message), timeout, self.name)
        return Claim(self, message)

    def skip(self) -> int:
        """Throws the next message away and gives its length."""
        with self._inside() as handle:
            return checked(lib.tong_skip(handle), self.name)

    # ---- the rest

    def watch(self, timeout: Optional[float] = None) -> Death:
        """The next death of a process that uses the mailbox, since the first call of this."""
        death = _c.Death()
        with self._inside() as handle:
            waited(lambda ns: lib.tong_watch(handle, ns, death), timeout, self.name)
        return from_struct(Death, death)

    def give(self, process: Optional[str]) -> None:
        """Another owner: a process, by the name of a mailbox that it owns; None: the system."""
        with self._inside() as handle:
            checked(lib.tong_give(handle, process.encode() if process else None), self.name)

    def fd(self, what: int = RECEIVE) -> int:
        """A descriptor for event loops, readable while a message is there; with SEND, while a send with
        timeout 0 would be accepted. It is the mailbox's: it is not to be read or closed."""
        with self._inside() as handle:
            return checked(lib.tong_fd(handle, what), self.name)

    def interrupt(self) -> None:
        """Ends the calls that wait, or the next one, with Interrupted."""
        with self._inside() as handle:
            checked(lib.tong_interrupt(handle), self.name)


def wait_any(boxes: Sequence[Mailbox], timeout: Optional[float] = None) -> int:
    """The index of a mailbox that has something, or has ended."""
    inside = [box._inside() for box in boxes]
    entered = 0
    try:
        handles = (ctypes.c_void_p * len(boxes))()
        for i, one in enumerate(inside):
            handles[i] = one.__enter__()
            entered += 1
        return waited(lambda ns: lib.tong_wait_any(handles, len(boxes), ns), timeout, None)
    finally:
        for one in inside[:entered]:
            one.__exit__()


@dataclass(frozen=True)
class Peeked:
    """A message that was seen and left where it is. deliveries: how often it was handed out, 0 never.
    length: of the whole message, of which data may be the beginning."""

    data: bytes
    length: int
    deliveries: int
    sequence: int
    uid: int
    pid: int
    key: int
    tag: int
    priority: int
    sender: str


class Observer(Handle):
    """Looks at what is in a mailbox, and at what comes, and takes nothing; its users do not notice.
    missed: how many messages went by unseen."""

    def __init__(self, name: str) -> None:
        handle = ctypes.c_void_p()
        self._handle = None
        self.missed = 0
        checked(lib.tong_observer_open(name.encode(), handle), name)
        super().__init__(name, handle.value or 0)

    def peek(self, timeout: Optional[float] = None, size: int = 65536) -> Peeked:
        """The next message that this observer has not seen, or its first size bytes."""
        buffer = bytearray(size)
        room = writable(buffer) if size else None
        info = _c.Message()
        missed = ctypes.c_uint64(self.missed)
        try:
            with self._inside() as handle:
                length = waited(
                    lambda ns: lib.tong_peek(handle, room, size, ns, info, missed),
                    timeout,
                    self.name,
                )
        finally:
            self.missed = missed.value
        del room
        return Peeked(
            data=bytes(memoryview(buffer)[:length]),
            length=length,
            deliveries=info.deliveries,
            sequence=info.sequence,
            uid=info.uid,
            pid=info.pid,
            key=info.key,
            tag=info.tag,
            priority=info.priority,
            sender=info.sender.decode(errors="surrogateescape"),
        )

    def close(self) -> None:
        self._close(lib.tong_observer_close)

    def __enter__(self) -> "Observer":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if self._handle is not None and not self._threads:
            lib.tong_observer_close(self._handle)
            self._handle = None


def remove(name: str) -> None:
    """Ends a mailbox, with all that waits in it."""
    checked(lib.tong_remove(name.encode()), name)


def stat(name: str) -> Status:
    """What a mailbox is and holds. Looking costs its users nothing."""
    status = _c.Status()
    checked(lib.tong_stat(name.encode(), status), name)
    return from_struct(Status, status)


def list_all(
    call: Callable[..., int], callback: Any, kind: Callable[..., T]
) -> Tuple[List[T], List[Error]]:
    """What is there, and why the rest could not be looked at."""
    found: List[T] = []
    errors: List[Error] = []

    def each(status: Any, code: int, _: Any) -> int:
        if code:
            errors.append(error(code, status.contents.name.decode(errors="surrogateescape")))
        else:
            found.append(from_struct(kind, status.contents))
        return 0

    checked(call(callback(each), None))
    return found, errors


def list_mailboxes() -> List[Status]:
    """All mailboxes of the folder that can be looked at, by name."""
    return list_all(lib.tong_list, _c.LIST_FN, Status)[0]
