"""Reads an exposition with the strict parser of Prometheus' own Python client, or a file of rules; prints JSON."""

import json
import math
import sys

import yaml
from prometheus_client import parser as text_parser
from prometheus_client.openmetrics import parser as openmetrics_parser


def families(parser, text):
    for family in parser.text_string_to_metric_families(text):
        yield {
            "name": family.name,
            "type": family.type,
            "unit": family.unit,
            "help": family.documentation,
            "samples": [
                [sample.name, sample.labels, sample.value if math.isfinite(sample.value) else None]
                for sample in family.samples
            ],
        }


def main():
    form, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if form == "openmetrics":
        answer = list(families(openmetrics_parser, text))
    elif form == "text":
        answer = list(families(text_parser, text))
    else:
        answer = yaml.safe_load(text)
    json.dump(answer, sys.stdout)


main()
