"""`insula provision`: a database and a role for each module, on the server that is configured."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from insula.cli.options import Config, Target, configured
from insula.cli.output import explained, say
from insula.cli.target import find_system
from insula.kernel.errors import ConfigurationError
from insula.runtime.databases import provision as provision_modules

Administrator = Annotated[
    str,
    typer.Option(
        help="Address of somebody who may create roles and databases, like postgresql://postgres@localhost/postgres; "
        "- reads it from standard input, where no other user of the machine sees it."
    ),
]


@explained
def provision(administrator: Administrator, target: Target = None, config: Config = None) -> None:
    """Make each module's PostgreSQL database and role where they are missing, and shut everybody else out.

    Their names and passwords are those of `store.address` and `store.password_file`. What is there is left as it is.

    Example: insula provision --administrator - shop.system:shop < administrator.txt
    """
    configuration = configured(config)
    system = find_system(target, configuration)
    if not configuration.store.address:
        raise ConfigurationError(
            "store.address is not set, so the modules' data lies in SQLite files, which need no provisioning; write "
            "it like postgresql://{module}@localhost:5432/{module}"
        )
    by_whom = sys.stdin.readline().strip() if administrator == "-" else administrator
    names = [module.name for module in system.modules]
    done = asyncio.run(provision_modules(names, configuration.store, by_whom))
    for line in done or ["nothing is missing"]:
        say(line)
