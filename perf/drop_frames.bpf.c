/* The least that XDP can do with a frame. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int drop_frames(struct xdp_md *context)
{
	(void)context;
	return XDP_DROP;
}

const char license_text[] SEC("license") = "Apache-2.0";
