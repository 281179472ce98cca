/* The test binary: aio.h, the harness and every test in one translation unit, so that tests see private names. */
#define AIO_IMPLEMENTATION
#include "../aio.h"

#include "harness.h"

#include "test_combinators.c"
#include "test_descriptors.c"
#include "test_datagrams.c"
#include "test_errors.c"
#include "test_harness.c"
#include "test_headers.c"
#include "test_http_messages.c"
#include "test_locks.c"
#include "test_loop.c"
#include "test_queues.c"
#include "test_futures.c"
#include "test_memory.c"
#include "test_seam.c"
#include "test_signals.c"
#include "test_run.c"
#include "test_debug.c"
#include "test_threads.c"
#include "test_streams.c"
#include "test_servers.c"
#include "test_names.c"
#include "test_tls.c"
#include "test_tasks.c"
#include "test_timeouts.c"
#include "test_url.c"

int main(int argc, char **argv) { return harness_main(argc, argv); }
