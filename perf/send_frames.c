/* send_frames INTERFACE SECONDS CORE [FRAMES_PER_SECOND [SOURCES [LENGTH]]]
 *
 * Sends frames of LENGTH bytes (60) from SOURCES addresses (1000), as many as it can or FRAMES_PER_SECOND, by running an XDP program on
 * frames of the kernel's own (BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES, Linux 5.18): no socket buffer is made, so a sender on
 * one core is faster than any receiver here. A rate is kept inside the program. A veth device gives them to receiving queue CORE modulo its queues. */
#define _GNU_SOURCE
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* Frames that the kernel makes and sends together: many when only speed counts, few when they should come evenly. */
static const unsigned BATCH = 64;
static const unsigned BATCH_OF_RATE = 8;
static const unsigned AT_ONCE = 1 << 16;

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec * 1e-9;
}

static void fail(const char *what)
{
	fprintf(stderr, "send_frames: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Ethernet, IPv4 and UDP from 10.1.0.0 to 10.9.0.2, port 9. */
static void lay_out(unsigned char *frame, int length)
{
	static const unsigned char start[] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0 };
	memcpy(frame, start, sizeof start);
	frame[16] = (length - 14) >> 8;
	frame[17] = length - 14;
	frame[22] = 64;
	frame[23] = 17;
	memcpy(frame + 26, "\12\1\0\0\12\11\0\2", 8);
	frame[37] = 9;
	frame[38] = (length - 34) >> 8;
	frame[39] = length - 34;
}

static int load(const char *object_path, unsigned interface_index, unsigned sources, unsigned gap)
{
	struct bpf_object *object = bpf_object__open_file(object_path, NULL);
	if (!object)
		fail(object_path);
	struct bpf_map *map;
	bpf_object__for_each_map(map, object) {
		size_t size;
		unsigned *constants = (unsigned *)bpf_map__initial_value(map, &size);
		if (constants && strstr(bpf_map__name(map), ".rodata")) {
			constants[0] = interface_index;
			constants[1] = sources;
			constants[2] = gap;
		}
	}
	if (bpf_object__load(object))
		fail("the program was not loaded");
	return bpf_program__fd(bpf_object__find_program_by_name(object, "make_frames"));
}

int main(int count, char **arguments)
{
	if (count < 4) {
		fprintf(stderr, "usage: send_frames INTERFACE SECONDS CORE [FRAMES_PER_SECOND [SOURCES [LENGTH]]]\n");
		return 2;
	}
	double seconds = atof(arguments[2]);
	double rate = count > 4 ? atof(arguments[4]) : 0;
	unsigned sources = count > 5 ? atoi(arguments[5]) : 1000;
	int length = count > 6 ? atoi(arguments[6]) : 60;
	unsigned interface_index = if_nametoindex(arguments[1]);
	if (!interface_index || length < 42 || length > 1514 || !sources || sources > 65536) {
		fprintf(stderr, "send_frames: no such interface, or LENGTH or SOURCES out of range\n");
		return 2;
	}
	cpu_set_t core;
	CPU_ZERO(&core);
	CPU_SET(atoi(arguments[3]), &core);
	if (sched_setaffinity(0, sizeof core, &core))
		fail("CORE");

	char path[4096];
	ssize_t used = snprintf(path, sizeof path, "%s", arguments[0]);
	char *slash = used > 0 ? strrchr(path, '/') : NULL;
	snprintf(slash ? slash + 1 : path, sizeof path - (slash ? slash + 1 - path : 0), "make_frames.bpf.o");
	int program = load(path, interface_index, sources, rate > 0 ? (unsigned)(1e9 / rate) : 0);

	unsigned char frame[1514] = { 0 };
	lay_out(frame, length);
	/* A run ends within a tenth of a second, whatever the rate. */
	unsigned at_once = rate > 0 && rate / 10 < AT_ONCE ? (unsigned)(rate / 10) : AT_ONCE;
	double begun = now();
	unsigned long sent = 0;
	while (now() < begun + seconds) {
		LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = length, .repeat = at_once,
			    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = rate > 0 ? BATCH_OF_RATE : BATCH);
		if (bpf_prog_test_run_opts(program, &options))
			fail("the program did not run");
		sent += at_once;
	}
	double took = now() - begun;
	printf("sent %lu frames in %.3f s: %.0f a second\n", sent, took, sent / took);
	return 0;
}
