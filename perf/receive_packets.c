/* receive_packets INTERFACE SECONDS CORE
 *
 * The yardstick of packet sockets: walks the blocks of a TPACKET_V3 ring, touches the first byte of every frame and gives the blocks back.
 * Prints what came in SECONDS, and what the kernel dropped. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#define BLOCKS 32u
#define BLOCK_BYTES (1u << 20)

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec * 1e-9;
}

static void fail(const char *what)
{
	fprintf(stderr, "receive_packets: %s: %s\n", what, strerror(errno));
	exit(1);
}

int main(int count, char **arguments)
{
	if (count != 4) {
		fprintf(stderr, "usage: receive_packets INTERFACE SECONDS CORE\n");
		return 2;
	}
	cpu_set_t core;
	CPU_ZERO(&core);
	CPU_SET(atoi(arguments[3]), &core);
	if (sched_setaffinity(0, sizeof core, &core))
		fail("CORE");
	int socket_number = socket(AF_PACKET, SOCK_RAW, 0);
	if (socket_number < 0)
		fail("the socket");
	int version = TPACKET_V3;
	if (setsockopt(socket_number, SOL_PACKET, PACKET_VERSION, &version, sizeof version))
		fail("PACKET_VERSION");
	struct tpacket_req3 request = {
		.tp_block_size = BLOCK_BYTES, .tp_block_nr = BLOCKS, .tp_frame_size = 2048,
		.tp_frame_nr = BLOCKS * (BLOCK_BYTES / 2048), .tp_retire_blk_tov = 8,
	};
	if (setsockopt(socket_number, SOL_PACKET, PACKET_RX_RING, &request, sizeof request))
		fail("PACKET_RX_RING");
	unsigned char *ring = mmap(NULL, (size_t)BLOCKS * BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, socket_number, 0);
	if (ring == MAP_FAILED)
		fail("the ring");
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = if_nametoindex(arguments[1]),
	};
	if (bind(socket_number, (struct sockaddr *)&address, sizeof address))
		fail(arguments[1]);

	struct pollfd waited = { .fd = socket_number, .events = POLLIN };
	double seconds = atof(arguments[2]), begun = 0;
	unsigned long frames = 0, sum = 0;
	unsigned next = 0;
	while (!begun || now() < begun + seconds) {
		struct tpacket_block_desc *block = (void *)(ring + (size_t)next * BLOCK_BYTES);
		if (!(__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) {
			poll(&waited, 1, 100);
			continue;
		}
		if (!begun)
			begun = now();
		struct tpacket3_hdr *frame = (void *)((unsigned char *)block + block->hdr.bh1.offset_to_first_pkt);
		for (unsigned nth = 0; nth < block->hdr.bh1.num_pkts; nth++) {
			sum += *((unsigned char *)frame + frame->tp_mac);
			frame = (void *)((unsigned char *)frame + frame->tp_next_offset);
		}
		frames += block->hdr.bh1.num_pkts;
		__atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		next = (next + 1) % BLOCKS;
	}
	double took = now() - begun;
	struct tpacket_stats_v3 statistics;
	socklen_t size = sizeof statistics;
	if (getsockopt(socket_number, SOL_PACKET, PACKET_STATISTICS, &statistics, &size))
		fail("statistics");
	printf("%.0f frames a second (%lu in %.3f s; dropped %u; %lu)\n", frames / took, frames, took, statistics.tp_drops, sum & 1);
	return 0;
}
