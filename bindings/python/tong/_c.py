"""The calls and structs of <tong/tong.h>, by ctypes.

A call added to tong.h is one row of _CALLS, a struct one class. Each struct ends with room for fields
that a newer library may have: they are 0 on the way in, and not looked at on the way out.

ctypes gives the GIL back for the time of every call, so other threads of Python run while one waits.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, c_char, c_char_p, c_int, c_int32, c_int64, c_size_t, c_ssize_t
from ctypes import c_uint, c_uint8, c_uint32, c_uint64, c_void_p
from typing import Any

NAME_MAX = 128


class Struct(ctypes.Structure):
    """A struct of tong.h; made with struct_size set and everything else 0."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(struct_size=ctypes.sizeof(type(self)), **fields)


_more = ("_more", c_uint8 * 512)


class Options(Struct):
    _fields_ = [
        ("struct_size", c_uint32),
        ("delivery", c_uint32),
        ("owner", c_uint32),
        ("full", c_uint32),
        ("capacity", c_uint32),
        ("link_capacity", c_uint32),
        ("message_size", c_uint32),
        ("mode", c_uint32),
        ("max_bytes", c_uint64),
        ("max_deliveries", c_uint32),
        ("by_priority", c_uint32),
        ("dead_letter", c_char_p),
        _more,
    ]


class SendOptions(Struct):
    _fields_ = [
        ("struct_size", c_uint32),
        ("priority", c_uint32),
        ("tag", c_uint64),
        ("key", c_uint64),
        ("call", c_uint64),
        ("expiry_ns", c_int64),
        ("reply_to", c_char_p),
        _more,
    ]


class ReceiveOptions(Struct):
    _fields_ = [
        ("struct_size", c_uint32),
        ("min_priority", c_uint32),
        ("tag", c_uint64),
        ("from_", c_char_p),  # "from" is a word of Python
        _more,
    ]


class Slot(Struct):
    _fields_ = [
        ("struct_size", c_uint32),
        ("reserved", c_uint32),
        ("data", c_void_p),
        ("len", c_size_t),
        ("private_", c_uint64 * 2),
        _more,
    ]


class Message(Struct):
    _fields_ = [
        ("struct_size", c_uint32),
        ("deliveries", c_uint32),
        ("data", c_void_p),
        ("len", c_size_t),
        ("sequence", c_uint64),
        ("uid", c_uint32),
        ("gid", c_uint32),
        ("pid", c_int32),
        ("verified", c_uint32),
        ("private_", c_uint64 * 2),
        ("key", c_uint64),
        ("tag", c_uint64),
        ("call", c_uint64),
        ("priority", c_uint32),
        ("reserved", c_uint32),
        ("sent_ns", c_uint64),
        ("sender", c_char * NAME_MAX),
        ("reply_to", c_char * NAME_MAX),
        _more,
    ]


class Status(Struct):
    _fields_ = [
        ("struct_size", c_uint32),
        ("delivery", c_uint32),
        ("owner", c_uint32),
        ("full", c_uint32),
        ("capacity", c_uint32),
        ("link_capacity", c_uint32),
        ("message_size", c_uint32),
        ("mode", c_uint32),
        ("max_bytes", c_uint64),
        ("name", c_char * NAME_MAX),
        ("carrier", c_char * 16),
        ("id", c_uint8 * 16),
        ("owner_uid", c_uint32),
        ("owner_pid", c_int32),
        ("links", c_uint32),
        ("senders", c_uint32),
        ("senders_blocked", c_uint32),
        ("receivers", c_uint32),
        ("receivers_asleep", c_uint32),
        ("claimed", c_uint32),
        ("waiting", c_uint64),
        ("sent", c_uint64),
        ("done", c_uint64),
        ("dropped", c_uint64),
        ("redelivered", c_uint64),
        ("deaths", c_uint64),
        ("bytes", c_uint64),
        ("backstop_finds", c_uint64),
        ("dead_letters", c_uint64),
        ("set_aside", c_uint32),
        ("max_deliveries", c_uint32),
        ("dead_letter", c_char * NAME_MAX),
        _more,
    ]


class Origin(Struct):
    _fields_ = [
        ("struct_size", c_uint32),
        ("deliveries", c_uint32),
        ("sequence", c_uint64),
        ("uid", c_uint32),
        ("pid", c_int32),
        ("id", c_uint8 * 16),
        ("name", c_char * NAME_MAX),
        _more,
    ]


class Death(Struct):
    _fields_ = [
        ("struct_size", c_uint32),
        ("roles", c_uint32),
        ("pid", c_int32),
        ("uid", c_uint32),
        _more,
    ]


class RegionOptions(Struct):
    _fields_ = [
        ("struct_size", c_uint32),
        ("owner", c_uint32),
        ("mode", c_uint32),
        ("reserved", c_uint32),
        _more,
    ]


class RegionStatus(Struct):
    _fields_ = [
        ("struct_size", c_uint32),
        ("owner", c_uint32),
        ("mode", c_uint32),
        ("owner_uid", c_uint32),
        ("owner_pid", c_int32),
        ("locked", c_uint32),
        ("size", c_uint64),
        ("bytes", c_uint64),
        ("name", c_char * NAME_MAX),
        _more,
    ]


# The struct of tong.h that each class is.
STRUCTS = {
    "tong_options": Options,
    "tong_send_options": SendOptions,
    "tong_receive_options": ReceiveOptions,
    "tong_slot": Slot,
    "tong_message": Message,
    "tong_status": Status,
    "tong_origin": Origin,
    "tong_death": Death,
    "tong_region_options": RegionOptions,
    "tong_region_status": RegionStatus,
}

LIST_FN = ctypes.CFUNCTYPE(c_int, POINTER(Status), c_int, c_void_p)
REGION_LIST_FN = ctypes.CFUNCTYPE(c_int, POINTER(RegionStatus), c_int, c_void_p)

_CALLS = {
    "tong_open": (c_int, [c_char_p, c_uint, POINTER(Options), POINTER(c_void_p)]),
    "tong_close": (c_int, [c_void_p]),
    "tong_remove": (c_int, [c_char_p]),
    "tong_give": (c_int, [c_void_p, c_char_p]),
    "tong_watch": (c_int, [c_void_p, c_int64, POINTER(Death)]),
    "tong_send": (c_int, [c_void_p, c_void_p, c_size_t, c_int64]),
    "tong_send_with": (
        c_int,
        [c_void_p, c_void_p, c_size_t, POINTER(SendOptions), c_int64],
    ),
    "tong_key": (c_uint64, [c_char_p, c_size_t]),
    "tong_reserve": (c_int, [c_void_p, c_size_t, c_int64, POINTER(Slot)]),
    "tong_commit": (c_int, [c_void_p, POINTER(Slot), c_size_t]),
    "tong_abort": (c_int, [c_void_p, POINTER(Slot)]),
    "tong_receive": (c_ssize_t, [c_void_p, c_void_p, c_size_t, c_int64]),
    "tong_receive_with": (
        c_ssize_t,
        [c_void_p, c_void_p, c_size_t, POINTER(ReceiveOptions), c_int64, POINTER(Message)],
    ),
    "tong_claim": (c_int, [c_void_p, c_int64, POINTER(Message)]),
    "tong_claim_with": (
        c_int,
        [c_void_p, POINTER(ReceiveOptions), c_int64, POINTER(Message)],
    ),
    "tong_done": (c_int, [c_void_p, POINTER(Message)]),
    "tong_return": (c_int, [c_void_p, POINTER(Message)]),
    "tong_call": (
        c_ssize_t,
        [c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_int64],
    ),
    "tong_call_with": (
        c_ssize_t,
        [
            c_void_p,
            c_void_p,
            c_size_t,
            POINTER(SendOptions),
            c_void_p,
            c_size_t,
            c_int64,
            POINTER(Message),
        ],
    ),
    "tong_reply": (c_int, [c_void_p, POINTER(Message), c_void_p, c_size_t, c_int64]),
    "tong_origin_of": (c_int, [c_void_p, POINTER(Message), POINTER(Origin)]),
    "tong_skip": (c_ssize_t, [c_void_p]),
    "tong_wait_any": (c_int, [POINTER(c_void_p), c_size_t, c_int64]),
    "tong_fd": (c_int, [c_void_p, c_uint]),
    "tong_interrupt": (c_int, [c_void_p]),
    "tong_observer_open": (c_int, [c_char_p, POINTER(c_void_p)]),
    "tong_observer_close": (c_int, [c_void_p]),
    "tong_peek": (
        c_ssize_t,
        [c_void_p, c_void_p, c_size_t, c_int64, POINTER(Message), POINTER(c_uint64)],
    ),
    "tong_stat": (c_int, [c_char_p, POINTER(Status)]),
    "tong_list": (c_int, [LIST_FN, c_void_p]),
    "tong_region_open": (
        c_int,
        [c_char_p, c_size_t, c_uint, POINTER(RegionOptions), POINTER(c_void_p)],
    ),
    "tong_region_close": (c_int, [c_void_p]),
    "tong_region_remove": (c_int, [c_char_p]),
    "tong_region_data": (c_void_p, [c_void_p]),
    "tong_region_size": (c_size_t, [c_void_p]),
    "tong_region_lock": (c_int, [c_void_p, c_int64]),
    "tong_region_unlock": (c_int, [c_void_p]),
    "tong_region_notify": (c_int, [c_void_p]),
    "tong_region_wait": (c_int, [c_void_p, POINTER(c_uint32), c_int64]),
    "tong_region_stat": (c_int, [c_char_p, POINTER(RegionStatus)]),
    "tong_region_list": (c_int, [REGION_LIST_FN, c_void_p]),
    "tong_folder": (c_int, [c_char_p, c_size_t]),
    "tong_strerror": (c_char_p, [c_int]),
    "tong_version": (c_char_p, []),
}

# TONG_LIBRARY names another one, as a build tree has it.
lib = ctypes.CDLL(os.environ.get("TONG_LIBRARY") or "libtong.so.0")
for _name, (_result, _arguments) in _CALLS.items():
    _call = getattr(lib, _name)
    _call.restype = _result
    _call.argtypes = _arguments
