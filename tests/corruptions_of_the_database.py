"""What could go wrong with the database under the books, as in `corruptions`."""

from corruptions import planted


def _trigger(events: str, rest: str) -> str:
    return (
        f"create or replace trigger entry_is_append_only before {events} on entry"
        f" for each row {rest}"
    )


IN_THE_DATABASE = (
    planted(
        "the trigger on updates is off",
        "alter table entry disable trigger entry_is_append_only",
        "entries_are_append_only",
    ),
    planted(
        "the trigger on truncation is gone",
        "drop trigger entry_is_never_truncated on entry",
        "entries_are_append_only",
    ),
    planted(
        "the trigger never fires",
        _trigger("update or delete", "when (false) execute function refuse_change()"),
        "entries_are_append_only",
    ),
    planted(
        "the trigger does not fire for deletes",
        _trigger("update", "execute function refuse_change()"),
        "entries_are_append_only",
    ),
    planted(
        "the trigger fires for one column",
        _trigger("update of amount or delete", "execute function refuse_change()"),
        "entries_are_append_only",
    ),
    planted(
        "the trigger refuses nothing",
        _trigger("update or delete", "execute function suppress_redundant_updates_trigger()"),
        "entries_are_append_only",
    ),
    planted(
        "the API may insert entries",
        "grant insert on entry to creditd_api",
        "only_functions_write",
    ),
    planted(
        "everybody may set one column of an account",
        "grant update (available) on account to public",
        "only_functions_write",
    ),
    planted(
        "the watcher may make functions of its own",
        "grant create on schema creditd to creditd_watcher",
        "only_functions_write",
    ),
    planted(
        "everybody may post entries",
        "grant execute on function post to public",
        "roles_call_only_their_own_functions",
    ),
    planted(
        "the API may grant",
        "grant execute on function confirm_blocks to creditd_api",
        "roles_call_only_their_own_functions",
    ),
    planted(
        "a function's text is another",
        "create or replace function refuse_change() returns trigger language plpgsql"
        " set search_path = creditd, pg_temp as $$ begin return new; end $$",
        "functions_are_this_releases",
    ),
    planted(
        "a function looks for its tables where its caller says",
        "alter function post reset search_path",
        "functions_are_this_releases",
    ),
    planted(
        "a function runs with more rights than it was given",
        "alter function post security definer",
        "functions_are_this_releases",
    ),
    planted(
        "a function is written in another language",
        "create or replace function new_id() returns bigint language plpgsql"
        " set search_path = creditd, pg_temp as $$ begin return 1; end $$",
        "functions_are_this_releases",
    ),
    planted(
        "a function belongs to a role",
        "alter function post owner to creditd_reader",
        "functions_are_this_releases",
        "roles_call_only_their_own_functions",
    ),
    planted(
        "the books name another release",
        "update release set functions = 'another'",
        "functions_are_this_releases",
    ),
    planted(
        "balances may be negative",
        "alter table account drop constraint balance_is_never_negative",
        "constraints_stand",
    ),
    planted(
        "a constraint bears its name and checks nothing",
        "alter table lot drop constraint lot_is_never_overdrawn;"
        "alter table lot add constraint lot_is_never_overdrawn check (true)",
        "constraints_stand",
    ),
    planted(
        "a constraint was never held against old rows",
        "alter table entry drop constraint entry_names_its_lot;"
        "alter table entry add constraint entry_names_its_lot"
        " check (lot_no is not null or amount = 0) not valid",
        "constraints_stand",
    ),
    planted(
        "one key may have two movements", "drop index one_key_one_movement", "constraints_stand"
    ),
    planted(
        "a unique index was never finished",
        "set local allow_system_table_mods = on; update pg_index set indisvalid = false"
        " where indexrelid = 'one_key_one_movement'::regclass",
        "constraints_stand",
    ),
    planted(
        "a crash would empty a table",
        "alter table cap_use set unlogged",
        "tables_hide_and_lose_nothing",
    ),
    planted(
        "a table hides rows from its readers",
        "alter table wallet enable row level security",
        "tables_hide_and_lose_nothing",
    ),
    planted(
        "a rule swallows what is written",
        "create rule swallow as on delete to lot do instead nothing",
        "tables_hide_and_lose_nothing",
    ),
    planted(
        "somebody's trigger sits on the accounts",
        "create trigger meddle before update on account for each row"
        " execute function suppress_redundant_updates_trigger()",
        "tables_hide_and_lose_nothing",
    ),
)
