// SPDX-License-Identifier: Apache-2.0
//
// Gives every frame of a capture interface to the AF_XDP socket of its queue, and counts what became of it.
//
// Written by hand, compiled by build.sh, committed as redirect.bpf.o: building the sensor needs no clang. The loader is
// ../program.rs; names, sizes and orders here are a contract with it.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// Queues that can have a socket. The counters have one place more: for every queue beyond them.
#define QUEUES_MAX 256

// Tags that are stepped over on the way to the addresses; deeper ones hide them from the list of the ignored.
#define TAGS_MAX 2

// Networks whose frames are dropped here.
#define IGNORED_MAX 1024

// What stands before a stamped frame: whoever reads it knows it by this.
#define STAMP_MAGIC 0x504e5453u

// What became of the frames of one queue. seen is the sum of the others.
struct queue_counts {
	__u64 seen;
	__u64 redirected; // given to the socket of its queue
	__u64 passed_no_socket;
	__u64 dropped_no_socket;
	__u64 dropped_ignored;
};

// One per processor, because a queue may be served by several of them in turn, and in generic mode at once.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, QUEUES_MAX + 1);
	__type(key, __u32);
	__type(value, struct queue_counts);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, QUEUES_MAX);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

// IPv4 addresses stand here as IPv4-mapped IPv6 addresses (RFC 4291, section 2.5.5.2).
struct network {
	__u32 prefix_length;
	__u8 address[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, IGNORED_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct network);
	__type(value, __u8);
} ignored SEC(".maps");

// Stands right before a frame, in the room that XDP keeps for metadata.
struct stamp {
	__u64 monotonic_nanos; // CLOCK_MONOTONIC, when the program saw the frame
	__u32 magic;
	__u32 reserved;
};

// Set by the loader before the program is loaded.
const volatile __u32 no_socket_action = XDP_DROP;
const volatile __u8 ignores = 0;
const volatile __u8 stamps = 0;

struct vlan_header {
	__be16 tag_control;
	__be16 inner_type;
};

static __always_inline int is_ignored(const void *address, int is_v4)
{
	struct network host = { .prefix_length = 128 };

	if (is_v4) {
		host.address[10] = 0xff;
		host.address[11] = 0xff;
		__builtin_memcpy(host.address + 12, address, 4);
	} else {
		__builtin_memcpy(host.address, address, 16);
	}
	return bpf_map_lookup_elem(&ignored, &host) != 0;
}

// Whether sender or receiver is in the list.
static __always_inline int concerns_ignored(const struct xdp_md *context)
{
	const void *end = (const void *)(long)context->data_end;
	const struct ethhdr *ethernet = (const void *)(long)context->data;
	const void *next = ethernet + 1;
	__be16 type;

	if (next > end)
		return 0;
	type = ethernet->h_proto;
#pragma unroll
	for (int tag = 0; tag < TAGS_MAX; tag++) {
		const struct vlan_header *vlan = next;

		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		if ((const void *)(vlan + 1) > end)
			return 0;
		type = vlan->inner_type;
		next = vlan + 1;
	}
	if (type == bpf_htons(ETH_P_IP)) {
		const struct iphdr *v4 = next;

		return (const void *)(v4 + 1) <= end &&
		       (is_ignored(&v4->saddr, 1) || is_ignored(&v4->daddr, 1));
	}
	if (type == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *v6 = next;

		return (const void *)(v6 + 1) <= end &&
		       (is_ignored(&v6->saddr, 0) || is_ignored(&v6->daddr, 0));
	}
	return 0;
}

// A driver that has no room for metadata leaves the frame without a stamp; the reader then takes its own clock.
static __always_inline void put_stamp(struct xdp_md *context)
{
	struct stamp *stamp;

	if (bpf_xdp_adjust_meta(context, -(int)sizeof(*stamp)))
		return;
	stamp = (void *)(long)context->data_meta;
	if ((void *)(stamp + 1) > (void *)(long)context->data)
		return;
	stamp->monotonic_nanos = bpf_ktime_get_ns();
	stamp->magic = STAMP_MAGIC;
	stamp->reserved = 0;
}

SEC("xdp")
int redirect(struct xdp_md *context)
{
	__u32 queue = context->rx_queue_index;
	__u32 place = queue < QUEUES_MAX ? queue : QUEUES_MAX;
	struct queue_counts *count = bpf_map_lookup_elem(&counts, &place);
	long action;

	if (!count)
		return XDP_ABORTED; // never: the array has every place
	count->seen++;
	if (ignores && concerns_ignored(context)) {
		count->dropped_ignored++;
		return XDP_DROP;
	}
	if (stamps)
		put_stamp(context);
	// Where the queue has no socket, the lower bits of the flags are the action.
	action = bpf_redirect_map(&sockets, queue, no_socket_action);
	// The barriers keep the branches apart: the compiler would make one addition of them, to an address that it has chosen before, and
	// the kernel takes that only from who has CAP_PERFMON as well.
	if (action == XDP_REDIRECT) {
		count->redirected++;
		barrier_var(count);
	} else if (action == XDP_PASS) {
		count->passed_no_socket++;
		barrier_var(count);
	} else {
		count->dropped_no_socket++;
		barrier_var(count);
	}
	return action;
}

const char license_text[] SEC("license") = "Apache-2.0";
