"""Sessions that end in the middle of what they do: at their n-th step, or waiting for a table."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg
from stage import Stage

# A step is a row about to be written, a statement that has written its rows, a row at the commit.
_STEPS: LiteralString = """
create table by_hand.plan (end_at integer not null);

create function by_hand.step() returns trigger
language plpgsql security definer set search_path = by_hand, pg_temp as $$
declare
  v_end integer;
  v_step integer;
begin
  select end_at into v_end from plan;
  if found then
    v_step := coalesce(nullif(current_setting('by_hand.steps', true), ''), '0')::integer + 1;
    perform set_config('by_hand.steps', v_step::text, true);
    if v_step = v_end then
      perform pg_terminate_backend(pg_backend_pid());
    end if;
  end if;
  return case when tg_op = 'DELETE' then old else new end;
end $$;

do $$
declare v_table regclass;
begin
  for v_table in
    select c.oid from pg_class c where c.relnamespace = 'creditd'::regnamespace and c.relkind = 'r'
  loop
    execute format('create trigger step_before before insert or update or delete on %s
      for each row execute function by_hand.step()', v_table);
    execute format('create trigger step_after after insert or update or delete on %s
      for each statement execute function by_hand.step()', v_table);
    execute format('create constraint trigger step_at_commit after insert or update or delete on %s
      deferrable initially deferred for each row execute function by_hand.step()', v_table);
  end loop;
end $$;
"""
_WAITING: LiteralString = """
select l.pid from pg_locks l join pg_stat_activity a using (pid)
where not l.granted and a.datname = current_database()"""
LOOK_AGAIN_SECONDS = 0.002  # who waits for a lock is only seen by looking


def count_steps(stage: Stage) -> None:
    """Let sessions count their steps, so that they can be ended at one."""
    stage.rows(_STEPS)


@contextmanager
def ending_at(stage: Stage, step: int) -> Iterator[None]:
    """Let every session end itself at its n-th step."""
    stage.rows("insert into by_hand.plan values (%s)", step)
    try:
        yield
    finally:
        stage.rows("delete from by_hand.plan")


def tables(stage: Stage) -> list[str]:
    return [
        name
        for (name,) in stage.rows(
            "select c.relname from pg_class c where c.relnamespace = 'creditd'::regnamespace"
            " and c.relkind = 'r' order by 1"
        )
    ]


async def end_who_waits_for(stage: Stage, table: str, asking: "asyncio.Task[object]") -> bool:
    """Hold a table and end whoever waits for it. Returns whether anybody did before the answer."""
    with psycopg.connect(stage.database_url) as holder:
        lock = f"lock table creditd.{table} in access exclusive mode"
        holder.execute(lock.encode())
        while not asking.done():
            waiting = [pid for (pid,) in stage.rows(_WAITING)]
            if waiting:
                for pid in waiting:
                    stage.rows("select pg_terminate_backend(%s, 5000)", pid)
                return True
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
    return False
