# pyright: reportCallIssue=false, reportPrivateImportUsage=false
"""The custom call: its tasks are worked on by the threads that XLA itself computes with.

Tasks are claimed one by one from a counter, by the calling thread too, and no thread is waited for that has not begun
one: a busy pool makes a call slower and never stops it.
"""

import ctypes

from numba import types

from . import _fields, _settling
from ._ffi import (
    CONTEXT,
    EXTENSION,
    METADATA_EXTENSION,
    SCHEDULE,
    SERVICES,
    THREADS,
    VERSION_MAJOR,
    VERSION_MINOR,
    Words,
    add_atomically,
    address_named,
    address_of,
    attribute,
    call,
    call_for,
    call_with,
    exported,
    free,
    integers_at,
    malloc,
    publish,
    words_at,
)

sched_yield = types.ExternalFunction("sched_yield", types.int32())

# The kernels: of each, the function that says how many tasks a call has, for so many threads, and the one that does one
# of so many tasks.
KERNELS = (
    (_settling.tasks, _settling.settle_task),
    (_fields.drive_tasks, _fields.drive_sites),
    (_fields.association_tasks, _fields.associate_sites),
    (_fields.feedback_tasks, _fields.feed_back_samples),
)
_addresses = (ctypes.c_int64 * (2 * len(KERNELS)))(*(f.address for kernel in KERNELS for f in kernel))
publish("simatch_kernels", ctypes.addressof(_addresses))

# A job: counters, then the kernel and the call frame. The last of its users frees it.
JOINED, FINISHED, USERS, TASKS, KERNEL, FRAME, SHARES, TAKEN = range(8)


@exported(types.void(Words))
def work(job):
    """Do tasks of a job until there are no more."""
    frame, count, task, shares = words_at(job[FRAME]), job[TASKS], job[KERNEL], job[SHARES]
    own = add_atomically(job, JOINED, 1)
    for other in range(shares):
        share = (own + other) % shares
        begin, end = share * count // shares, (share + 1) * count // shares
        number = begin + add_atomically(job, TAKEN + share, 1)
        while number < end:
            call_for(task, frame, number, count)
            add_atomically(job, FINISHED, 1)
            number = begin + add_atomically(job, TAKEN + share, 1)
    if add_atomically(job, USERS, -1) == 1:
        free(job)


work_on = types.ExternalFunction("simatch_work", types.void(Words))
publish("simatch_work", work.address)


@exported(types.int64(Words))
def handle(frame):
    """Answer a call of XLA: 0, for no error."""
    if frame[EXTENSION] != 0:
        extension = words_at(frame[EXTENSION])
        if integers_at(address_of(extension))[2] == METADATA_EXTENSION:
            metadata = integers_at(extension[3])
            metadata[6], metadata[7] = VERSION_MAJOR, VERSION_MINOR
            return 0
    kernel = words_at(address_named("simatch_kernels") + 2 * 8 * attribute(frame))
    services, message, threads = words_at(frame[SERVICES]), malloc(5 * 8), malloc(8)
    message[0], message[1], message[2], message[3] = 4 * 8, 0, frame[CONTEXT], address_of(threads)
    threads[0] = 1
    call(services[THREADS], message)
    count = call_with(kernel[0], frame, threads[0])
    helpers = max(min(threads[0], count) - 1, 0)
    job = malloc((TAKEN + helpers + 1) * 8)
    job[JOINED], job[FINISHED], job[TASKS], job[SHARES] = 0, 0, count, helpers + 1
    for share in range(helpers + 1):
        job[TAKEN + share] = 0
    job[KERNEL], job[FRAME] = kernel[1], address_of(frame)
    job[USERS] = helpers + 2  # this function is a user twice: it works, then it waits
    message[0], message[3], message[4] = 5 * 8, address_named("simatch_work"), address_of(job)
    for _ in range(helpers):
        call(services[SCHEDULE], message)
    free(message)
    free(threads)
    work_on(job)
    while add_atomically(job, FINISHED, 0) < count:
        sched_yield()
    if add_atomically(job, USERS, -1) == 1:
        free(job)
    return 0
