"""The configuration that a command goes by."""

import argparse
import os

from contracts.catalogue import EVENTS
from daemon.configuration.config import Config, load_config


def config_of(options: argparse.Namespace) -> Config:
    """Return the configuration that a command goes by. Raises ConfigError."""
    return load_config(options.config, os.environ, events=EVENTS)
