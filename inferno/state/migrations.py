"""The schema of inferno.db, as the steps that lead to it (see `sqlite_file`).

A step that was released is never changed: a file that took it would differ from one that takes it now. What is to be
different is a step of its own at the end. sqlite-utils does the work; it is imported by the steps, since a command on a
file that has taken all of them needs none of it.
"""

from __future__ import annotations

import json
import sqlite3

# SQLite keeps this text as it is.
_VMS_1 = """
create table vms (
    name text primary key,
    slot integer not null unique check (slot between 0 and 16383),
    spec text,
    version text,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) without rowid"""


def _1_vms(db: sqlite3.Connection) -> None:
    db.execute(_VMS_1)


def _2_machines_runs_and_views(db: sqlite3.Connection) -> None:
    """`vms` becomes `machines`, with the values of environment variables in a column of their own; `runs` is new.

    The views have the names and columns that scripts for the bash version of Inferno ask for.
    """
    from sqlite_utils import Database

    utils = Database(db, recursive_triggers=False, execute_plugins=False)
    utils.rename_table("vms", "machines")
    machines = utils.table("machines")
    machines.add_column("env", str)
    for row in list(machines.rows_where("spec is not null", select="name, spec")):
        spec = json.loads(row["spec"])
        env = spec.get("env", [])
        spec["env"] = [word.partition("=")[0] for word in env]
        machines.update(row["name"], {"spec": json.dumps(spec, sort_keys=True), "env": json.dumps(env)})
    columns = {"id": int, "run": str, "vm": str, "version": str, "started_at": str, "ended_at": str}
    columns |= {"exit_code": int, "signal": int, "reason": str, "noticed_by": str}
    runs = utils.table("runs")
    runs.create(columns, pk="id", not_null=("run", "vm", "version", "started_at"), strict=True)
    runs.create_index(["run"], unique=True)
    runs.create_index(["vm", "id"])
    for name, sql in _VIEWS_2.items():
        utils.create_view(name, sql)


# A slot's /30 is 172.16.0.0 + 4 * slot; the gateway has the first address of it, the guest the second.
# Both are the last two bytes, which the MAC address repeats (see state.slot, which a test holds equal to this).
_GUEST, _GATEWAY, _SUBNET = ("(slot * 4 + 2)", "(slot * 4 + 1)", "(slot * 4)")
_NETWORK = f"""
    'inf' || slot as tap_device,
    printf('172.16.%d.%d', {_GUEST} / 256, {_GUEST} % 256) as guest_ip,
    printf('172.16.%d.%d', {_GATEWAY} / 256, {_GATEWAY} % 256) as gateway_ip,
    printf('06:00:ac:10:%02x:%02x', {_GUEST} / 256, {_GUEST} % 256) as mac_address"""
# The first ten letters of a ULID are the milliseconds since 1970, five bits each, in Crockford's base 32.
_MADE_MS = " + ".join(
    f"((instr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', substr(made.version, {place + 1}, 1)) - 1) << {5 * (9 - place)})"
    for place in range(10)
)
_VIEWS_2 = {
    "vms": f"""
        select slot as id, name, {_NETWORK},
            case
                when machines.version is null then 'creating'
                when last.id is null then 'created'
                when last.ended_at is null then 'started'
                else 'stopped'
            end as state,
            machines.version as version,
            json_extract(spec, '$.image') as image,
            json_extract(spec, '$.vcpus') as vcpus,
            json_extract(spec, '$.memory') as memory,
            created_at, last.started_at as started_at, last.ended_at as ended_at, last.exit_code as exit_code
        from machines
        left join runs as last on last.id = (select max(id) from runs where vm = machines.name)""",
    "vms_versions": f"""
        select slot as vm_id, name as vm_name, made.version as version,
            strftime('%Y-%m-%dT%H:%M:%fZ', ({_MADE_MS}) / 1000.0, 'unixepoch') as created_at,
            made.version = machines.version as is_current
        from machines
        join (
            select name as vm, version from machines where version is not null
            union select vm, version from runs
        ) as made on made.vm = machines.name""",
    "network_state": f"""
        select slot as vm_id, name as vm_name, {_NETWORK},
            printf('172.16.%d.%d/30', {_SUBNET} / 256, {_SUBNET} % 256) as subnet
        from machines""",
    "specs": "select name as vm, spec from machines where spec is not null",
}

STEPS = (_1_vms, _2_machines_runs_and_views)
SCHEMA_VERSION = len(STEPS)
