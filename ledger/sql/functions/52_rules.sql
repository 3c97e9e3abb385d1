-- Rules: what of a chain earns, and from where on.

-- Whether a rule that followed some events, a line each, may follow these: the same, and others only from blocks
-- that have not been read yet.
create or replace function creditd.goes_on_with(p_before text, p_now text, p_read bigint) returns boolean
language sql immutable
return string_to_array(p_before, chr(10)) <@ string_to_array(p_now, chr(10)) and not exists (
  select from unnest(string_to_array(p_now, chr(10))) t (line)
  where t.line <> all (string_to_array(p_before, chr(10)))
    and coalesce(substring(t.line from ' from ([0-9]+)$')::numeric, 0) <= p_read);

-- Raises unless a rule in the books may go on by these terms: what it has granted for stays what it was.
create or replace function creditd.require_same_terms(
  r creditd.rule, c creditd.chain, p_contract bytea, p_event text, p_from_block bigint, p_divisor numeric,
  p_rates_from bigint[], p_rates_micro bigint[], p_period integer, p_hold integer
) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  if (r.chain_id, r.contract, r.from_block) <> (c.chain_id, p_contract, p_from_block)
     or not goes_on_with(r.event, p_event, c.indexed_number) then
    raise exception 'source % is in the books for event % of 0x% on chain % from block %',
      r.name, r.event, encode(r.contract, 'hex'), r.chain_id, r.from_block using errcode = 'CD004';
  elsif (r.divisor, r.period_seconds, r.hold_seconds) is distinct from (p_divisor, p_period, p_hold) then
    raise exception 'source % is in the books with another per, period or hold, by which it has earned: give the new terms a new name',
      r.name using errcode = 'CD004';
  elsif rates_before(r.rates_from, r.rates_micro, c.confirmed_time)
        is distinct from rates_before(p_rates_from, p_rates_micro, c.confirmed_time) then
    raise exception 'source %: what its stakes earned before % is in the books: let a change of credits begin later',
      r.name, to_char(c.confirmed_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') using errcode = 'CD004';
  end if;
end $$;

-- Enters a rule, or its changed terms. What it earns for (chain, contract, event) never changes under
-- one name, though further events may join; and a new rule starts behind the cursor's back on no account: that history was read without it.
create or replace function creditd.enter_rule(
  p_chain bigint, p_epoch bigint, p_name text, p_contract bytea, p_event text, p_from_block bigint,
  p_to_block bigint, p_source text, p_on_reversal text, p_priority smallint, p_operations text[],
  p_cap_account bigint, p_cap_account_day bigint, p_cap_day bigint, p_cap_total bigint, p_expires_days integer,
  p_divisor numeric, p_rates_from bigint[], p_rates_micro bigint[], p_period integer, p_hold integer
) returns integer
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare
  c chain := chain_held(p_chain, p_epoch);
  r rule;
begin
  perform refuse_null('p_name p_contract p_event p_from_block p_source p_on_reversal p_priority',
    array[p_name is null, p_contract is null, p_event is null, p_from_block is null, p_source is null,
    p_on_reversal is null, p_priority is null]);
  select * into r from rule x where x.name = p_name for no key update;
  if not found then
    if p_from_block <= c.indexed_number then
      raise exception 'source % begins at block %, and chain % has been read to block % without it (creditd backfill --source % reads what lies behind)',
        p_name, p_from_block, p_chain, c.indexed_number, p_name using errcode = 'CD004';
    end if;
    insert into rule (name, chain_id, contract, event, from_block, source, divisor, rates_from, rates_micro,
                      period_seconds, hold_seconds)
      values (p_name, p_chain, p_contract, p_event, p_from_block, p_source, p_divisor, p_rates_from, p_rates_micro,
              p_period, p_hold) returning * into r;
  -- What was read while nobody followed the source would never be granted.
  elsif r.to_block < c.indexed_number and coalesce(p_to_block, c.indexed_number) > r.to_block then
    raise exception 'source % was followed to block %, and chain % has been read to block % since without it (creditd backfill --source % reads that)',
      p_name, r.to_block, p_chain, c.indexed_number, p_name using errcode = 'CD004';
  end if;
  perform require_same_terms(r, c, p_contract, p_event, p_from_block, p_divisor, p_rates_from, p_rates_micro, p_period,
                             p_hold);
  update rule x set event = p_event, rates_from = p_rates_from, rates_micro = p_rates_micro, to_block = p_to_block,
      is_left = false,
      source = p_source, on_reversal = p_on_reversal, priority = p_priority, operations = operation_numbers(p_operations), cap_account = p_cap_account, cap_account_day = p_cap_account_day,
      cap_day = p_cap_day, cap_total = p_cap_total, expires_days = p_expires_days
    where x.rule_id = r.rule_id;
  return r.rule_id;
end $$;

-- Those of a rule's rates that began before a moment, as text: one that never came was never in force.
create or replace function creditd.rates_before(p_from bigint[], p_micro bigint[], p_at timestamptz) returns text
language sql immutable
return (select string_agg(t.since || ' ' || t.micro, ', ' order by t.since)
        from unnest(p_from, p_micro) t (since, micro) where to_timestamp(t.since) < p_at);

-- Notes how far the chain's other rules were followed: they are no longer.
create or replace function creditd.leave_rules(p_chain bigint, p_epoch bigint, p_followed integer[]) returns void
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare c chain := chain_held(p_chain, p_epoch);
begin
  perform refuse_null('p_followed', array[lacks(p_followed, cardinality(p_followed))]);
  update rule x set to_block = c.indexed_number, is_left = true
    where x.chain_id = p_chain and x.rule_id <> all (p_followed)
      and (x.to_block is null or x.to_block > c.indexed_number);
end $$;
