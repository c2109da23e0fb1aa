"""What can be said of the comparison without any peer: python3 -m unittest, in this folder."""

import os
import struct
import sys
import tempfile
import unittest
from pathlib import Path

import captures
import measure
import peers
import report
import rules

PROJECT = Path(__file__).resolve().parents[2]


def capture(packets, order="<"):
    header = struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    return header + b"".join(struct.pack(order + "IIII", 0, 0, len(each), len(each)) + each for each in packets)


class InAFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def file(self, content):
        path = self.folder / "file"
        path.write_bytes(content)
        return path


class Figures(unittest.TestCase):
    def test_a_ratio_is_of_a_pair(self):
        # Twice as fast in the first pair, as fast in the second; the medians alone would say neither.
        self.assertEqual(measure.ratios([1.0, 3.0], [2.0, 3.0]), [2.0, 1.0])

    def test_starting_is_taken_off_both_sides(self):
        self.assertEqual(measure.ratios([1.5], [5.0], our_start=0.5, their_start=1.0), [4.0])

    def test_a_run_as_short_as_a_start_gives_no_ratio(self):
        self.assertIsNone(measure.ratios([1.0, 0.5], [2.0, 2.0], our_start=0.5))

    def test_the_spread_is_the_middle_and_both_ends(self):
        self.assertEqual(measure.spread([3.0, 1.0, 2.0]), measure.Spread(2.0, 1.0, 3.0))
        self.assertEqual(measure.rates(100, [2.0, 4.0]), [50.0, 25.0])

    def test_numbers_have_as_many_digits_as_say_something(self):
        written = [report.number(value) for value in (0.0981, 2.345, 81.26, 254.4, 1234567.8)]
        self.assertEqual(written, ["0.0981", "2.35", "81.3", "254", "1,234,568"])


class Runs(InAFolder):
    def run_python(self, program, limit=60):
        core = max(os.sched_getaffinity(0))
        return measure.run([sys.executable, "-c", program], core, self.folder / "log", limit)

    def test_a_run_counts_what_all_its_threads_did_on_one_core(self):
        run = self.run_python(
            "import os, time; print(len(os.sched_getaffinity(0)))\n"
            "while time.process_time() < 0.2: pass\nx = bytearray(64 << 20)"
        )
        self.assertEqual((self.folder / "log").read_text(), "1\n")
        self.assertGreaterEqual(run.cpu, 0.2)
        self.assertGreaterEqual(run.rss, 64 << 10)

    def test_what_fails_or_does_not_end_is_no_measurement(self):
        with self.assertRaisesRegex(measure.Failed, "ended with 3: no such file"):
            self.run_python("import sys; print('no such file'); sys.exit(3)")
        with self.assertRaisesRegex(measure.Failed, "did not end within 0.2 s"):
            self.run_python("import time; time.sleep(60)", limit=0.2)

    def test_json_is_found_behind_warnings(self):
        log = self.file(b'a warning\n{"a": 1,\n "b": 2}\n')
        self.assertEqual(measure.json_in(log), '{"a": 1,\n "b": 2}')
        with self.assertRaisesRegex(measure.Failed, "no JSON: only words"):
            measure.json_in(self.file(b"only words\n"))


class Captures(InAFolder):
    def test_packets_are_counted_in_either_byte_order(self):
        for order in "<>":
            path = self.file(capture([b"one", b"", b"three"], order))
            self.assertEqual(captures.read(path).packets, 3)
            captures.first_packet(path, self.folder / "first")
            self.assertEqual((self.folder / "first").read_bytes(), capture([b"one"], order))

    def test_a_capture_of_unanswered_conversations_is_one_sided(self):
        def segment(flags):
            return bytes(12) + b"\x08\x00" + b"\x45" + bytes(8) + b"\x06" + bytes(10) + bytes(13) + bytes([flags]) + bytes(6)

        for answers, one_sided in [([0x12], False), ([0x10], True)]:
            contents = captures.read(self.file(capture([segment(0x02), *map(segment, answers)])))
            self.assertEqual((contents.opened, contents.one_sided()), (1, one_sided))
        self.assertFalse(captures.read(self.file(capture([segment(0x10)]))).one_sided())

    def test_what_not_every_peer_could_read_whole_is_refused(self):
        whole = capture([b"one", b"two"])
        for content, why in [(b"\x0a\x0d\x0d\x0a" + bytes(20), "no plain pcap"), (whole[:-1], "in packet 2"), (capture([]), "no packet")]:
            with self.assertRaisesRegex(captures.NotPcap, why):
                captures.read(self.file(content))


class Peers(unittest.TestCase):
    def test_each_says_how_much_it_read(self):
        said = {
            "softflowd": "Packets processed: 19000\nFragments: 0\nIgnored packets: 1000 (1000 non-IP, 0 too short)\n",
            "Suricata, no rules, no output": "i: pcap: read 1 file, 20000 packets, 5835148 bytes\n",
            "ndpiReader": "\tIP packets:            19000         of 20000 packets total\n",
        }
        for peer in peers.all_peers(""):
            with self.subTest(peer=peer.name):
                if text := said.get(peer.name):
                    self.assertEqual(peers.packets_said(peer, text), 20000)
                    self.assertEqual(peers.packets_said(peer, "nothing of that kind"), -1)
                else:
                    self.assertTrue(peer.name == "tcpdump" or peer.program == "suricata")
                    self.assertEqual(peers.packets_said(peer, "") is None, peer.name == "tcpdump")

    def test_ours_counts_only_where_the_sums_close(self):
        summary = '{"unaccounted": %d, "verdicts": {"SAFE": 7, "HIGH": 1}, "not_ip": 1, "undecodable": {"ipv4/torn": 1}}'
        self.assertEqual(peers.packets_judged(summary % 0), 10)
        self.assertEqual(peers.packets_judged(summary % 1), -1)
        self.assertEqual(peers.packets_judged("no summary"), -1)

    def test_versions_are_found_in_what_programs_say(self):
        self.assertEqual(peers.version_of("This is Suricata version 8.0.8 RELEASE"), "8.0.8")
        self.assertEqual(peers.version_of("Usage: softflowd [options]\nThis is softflowd v1.1.1.\n"), "1.1.1")
        self.assertEqual(peers.version_of("no digits"), "not known")


class Rules(unittest.TestCase):
    def test_fifty_of_the_built_in_rules_mean_the_same_to_both(self):
        text = (PROJECT / "configs/rules/phantomnet.rules").read_text(encoding="utf-8")
        fifty = rules.fifty(text)
        self.assertEqual(len(set(fifty)), 50)
        self.assertFalse(any("count_distinct" in rule for rule in fifty))

    def test_a_rule_that_would_mean_something_else_is_left_out(self):
        self.assertTrue(rules.means_the_same('alert tcp any any -> any $HTTP_PORTS (msg:"costs $5"; sid:1;)'))
        self.assertFalse(rules.means_the_same('alert tcp any any -> any $OUR_PORTS (msg:"a"; sid:1;)'))
        self.assertFalse(rules.means_the_same('alert tcp any any -> any any (metadata:count_distinct dst_port; sid:1;)'))


if __name__ == "__main__":
    unittest.main()
