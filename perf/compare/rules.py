"""Fifty rules for both sides: out of the built-in set, those that mean the same to Suricata."""

import re

COUNT = 50
# What Suricata's configuration of the package defines; a rule with another variable would be refused.
DEFINED = {"HOME_NET", "EXTERNAL_NET", "HTTP_SERVERS", "HTTP_PORTS", "SSH_PORTS", "FTP_PORTS", "DNS_SERVERS", "SMTP_SERVERS"}


def rules_of(text):
    """The rules of a file, each on one line."""
    joined = text.replace("\\\n", " ")
    return [re.sub(r"\s+", " ", line).strip() for line in joined.splitlines() if line.startswith("alert ")]


def means_the_same(rule):
    """Whether Suricata reads it as it is meant here.

    It takes metadata for a remark, so where we count different ports it would count packets.
    """
    header = rule.split("(", 1)[0]
    return "count_distinct" not in rule and set(re.findall(r"\$(\w+)", header)) <= DEFINED


def fifty(text):
    """Every nth of them, so that web, logins, scans, floods, tunnels and exploits are all in it."""
    usable = [rule for rule in rules_of(text) if means_the_same(rule)]
    if len(usable) < COUNT:
        raise ValueError(f"only {len(usable)} rules mean the same to both; {COUNT} are needed")
    return [usable[nth * len(usable) // COUNT] for nth in range(COUNT)]
