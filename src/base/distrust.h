/*
 * A check of what another process wrote, or of whose file it is.
 *
 * TONG_UNCHECKED leaves them out, so that tests/abi/validation.sh can count what they cost a message. Such
 * a library must never be used: it believes everybody.
 */
#ifndef TG_BASE_DISTRUST_H
#define TG_BASE_DISTRUST_H

#if defined(TONG_UNCHECKED) && TONG_UNCHECKED
#define tg_distrust(condition) 0
#else
#define tg_distrust(condition) (condition)
#endif

#endif
