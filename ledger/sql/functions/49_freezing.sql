-- A frozen account makes no charge and no reservation; what comes in or ends goes on. Who changed it, and
-- why, is written with the change.

-- Gives an account another status, and notes it. The caller holds the account locked.
create or replace function creditd.change_status(
  p_root bigint, p_account bigint, p_status text, p_by text, p_reason text
) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  update account a set status = p_status where a.root_id = p_root and a.account_id = p_account;
  insert into status_change (root_id, account_id, change_no, status, changed_by, reason, at)
    select p_root, p_account, 1 + coalesce(max(c.change_no), 0), p_status, p_by, p_reason, clock()
    from status_change c where c.root_id = p_root and c.account_id = p_account;
  perform tell_changed(array[p_root], array[p_account]);
end $$;

-- Freezes an account, or opens it again, whether an operator froze it or a debt.
create or replace function creditd.freeze_or_open(
  p_root bigint, p_account bigint, p_frozen boolean, p_by text, p_reason text, out outcome text, out changed boolean
)
language plpgsql set search_path = creditd, pg_temp as $$
declare v_status text;
begin
  select a.status into v_status from account a where a.root_id = p_root and a.account_id = p_account for no key update;
  outcome := case when v_status is null then 'no_account' when v_status = 'closed' then 'closed'
                  when p_frozen then 'frozen' else 'open' end;
  changed := outcome in ('frozen', 'open') and v_status <> outcome;
  if changed then perform change_status(p_root, p_account, outcome, p_by, p_reason); end if;
end $$;
