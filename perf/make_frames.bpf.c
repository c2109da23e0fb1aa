/* Makes each frame that send_frames.c runs it for differ from the last, and sends it out of an interface.
 *
 * IPv4 and UDP: source address 10.1.x.y in rotation through `sources`, source port by the round. No checksum is kept right: whoever
 * receives them here does not look. */
#include <linux/bpf.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define SOURCE_ADDRESS_AT 28 /* its lower two bytes */
#define SOURCE_PORT_AT 34
#define HEADERS 42

const volatile __u32 interface_index = 0;
const volatile __u32 sources = 1000;
/* Nanoseconds from one frame to the next; 0 for as many as can be. */
const volatile __u32 gap = 0;

/* How often the clock is read while the next frame is not due: some milliseconds of it. */
#define READINGS_MAX (1 << 17)
/* Who has fallen behind by more than this begins anew, so that no burst makes up for it. */
#define BEHIND_MAX 1000000

__u32 made = 0;
__u64 due = 0;

static long is_due(__u32 nth, void *context)
{
	(void)nth;
	(void)context;
	return bpf_ktime_get_ns() >= due;
}

/* Each call of the program is paced by itself: a new run of it takes the kernel tens of milliseconds. */
static void wait_until_due(void)
{
	__u64 now = bpf_ktime_get_ns();
	if (now > due + BEHIND_MAX)
		due = now;
	if (now < due)
		bpf_loop(READINGS_MAX, is_due, NULL, 0);
	due += gap;
}

SEC("xdp")
int make_frames(struct xdp_md *context)
{
	__u8 *frame = (void *)(long)context->data;
	__u8 *end = (void *)(long)context->data_end;
	if (frame + HEADERS > end)
		return XDP_DROP;
	if (gap)
		wait_until_due();
	__u32 number = made++;
	*(__be16 *)(frame + SOURCE_ADDRESS_AT) = bpf_htons(number % sources);
	*(__be16 *)(frame + SOURCE_PORT_AT) = bpf_htons(1024 + number / sources % 64);
	return bpf_redirect(interface_index, 0);
}

const char license_text[] SEC("license") = "Apache-2.0";
