/* receive_and_drop INTERFACE QUEUE SECONDS CORE
 *
 * The yardstick of AF_XDP: takes frames from one queue by libxdp's functions, touches their first byte and gives their places back.
 * Prints what came in SECONDS, and what the kernel counted. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include <xdp/xsk.h>

#define PLACES 4096u
#define PLACE_BYTES 4096u
#define BATCH 64u

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec * 1e-9;
}

static void fail(const char *what, int error)
{
	fprintf(stderr, "receive_and_drop: %s: %s\n", what, strerror(error));
	exit(1);
}

static void give(struct xsk_ring_prod *fill, const __u64 *places, unsigned count)
{
	__u32 at;
	while (xsk_ring_prod__reserve(fill, count, &at) != count)
		;
	for (unsigned nth = 0; nth < count; nth++)
		*xsk_ring_prod__fill_addr(fill, at + nth) = places[nth];
	xsk_ring_prod__submit(fill, count);
}

int main(int count, char **arguments)
{
	if (count != 5) {
		fprintf(stderr, "usage: receive_and_drop INTERFACE QUEUE SECONDS CORE\n");
		return 2;
	}
	cpu_set_t core;
	CPU_ZERO(&core);
	CPU_SET(atoi(arguments[4]), &core);
	if (sched_setaffinity(0, sizeof core, &core))
		fail("CORE", errno);

	void *memory = mmap(NULL, PLACES * PLACE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		fail("memory", errno);
	struct xsk_umem *umem;
	struct xsk_ring_prod fill;
	struct xsk_ring_cons completion, received;
	struct xsk_umem_config memory_config = {
		.fill_size = PLACES, .comp_size = 64, .frame_size = PLACE_BYTES, .frame_headroom = 0, .flags = 0,
	};
	int error = xsk_umem__create(&umem, memory, PLACES * PLACE_BYTES, &fill, &completion, &memory_config);
	if (error)
		fail("memory", -error);
	struct xsk_socket *socket;
	struct xsk_socket_config config = {
		.rx_size = PLACES, .tx_size = 0, .xdp_flags = XDP_FLAGS_DRV_MODE, .bind_flags = XDP_USE_NEED_WAKEUP,
	};
	error = xsk_socket__create(&socket, arguments[1], atoi(arguments[2]), umem, &received, NULL, &config);
	if (error)
		fail("the socket", -error);
	__u64 places[PLACES];
	for (unsigned nth = 0; nth < PLACES; nth++)
		places[nth] = (__u64)nth * PLACE_BYTES;
	give(&fill, places, PLACES);

	struct pollfd waited = { .fd = xsk_socket__fd(socket), .events = POLLIN };
	double seconds = atof(arguments[3]), begun = 0;
	unsigned long frames = 0, sum = 0;
	/* The time runs from the first frame. */
	while (!begun || now() < begun + seconds) {
		__u32 at;
		unsigned got = xsk_ring_cons__peek(&received, BATCH, &at);
		if (!got) {
			if (xsk_ring_prod__needs_wakeup(&fill))
				poll(&waited, 1, 100);
			continue;
		}
		if (!begun)
			begun = now();
		for (unsigned nth = 0; nth < got; nth++) {
			const struct xdp_desc *frame = xsk_ring_cons__rx_desc(&received, at + nth);
			sum += *(unsigned char *)xsk_umem__get_data(memory, frame->addr);
			places[nth] = xsk_umem__extract_addr(frame->addr);
		}
		xsk_ring_cons__release(&received, got);
		give(&fill, places, got);
		frames += got;
	}
	double took = now() - begun;
	struct xdp_statistics statistics;
	socklen_t size = sizeof statistics;
	if (getsockopt(waited.fd, SOL_XDP, XDP_STATISTICS, &statistics, &size))
		fail("statistics", errno);
	printf("%.0f frames a second (%lu in %.3f s; dropped %llu, ring full %llu, no place %llu; %lu)\n", frames / took, frames, took,
	       statistics.rx_dropped, statistics.rx_ring_full, statistics.rx_fill_ring_empty_descs, sum & 1);
	xsk_socket__delete(socket);
	return 0;
}
