-- A frozen account makes no charge and no reservation; what comes in or ends goes on.

create or replace function creditd.freeze(p_root bigint, p_account bigint, out outcome text, out changed boolean)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare v_status text;
begin
  select a.status into v_status from account a where a.root_id = p_root and a.account_id = p_account for no key update;
  outcome := case when v_status is null then 'no_account' when v_status = 'closed' then 'closed' else 'frozen' end;
  changed := outcome = 'frozen' and v_status <> 'frozen';
  if changed then
    update account a set status = 'frozen' where a.root_id = p_root and a.account_id = p_account;
  end if;
end $$;

-- Opens an account again, whether an operator froze it or a debt.
create or replace function creditd.unfreeze(p_root bigint, p_account bigint, out outcome text, out changed boolean)
language plpgsql security definer set search_path = creditd, pg_temp as $$
declare v_status text;
begin
  select a.status into v_status from account a where a.root_id = p_root and a.account_id = p_account for no key update;
  outcome := case when v_status is null then 'no_account' when v_status = 'closed' then 'closed' else 'open' end;
  changed := v_status in ('frozen', 'indebted');
  if changed then
    update account a set status = 'open' where a.root_id = p_root and a.account_id = p_account;
  end if;
end $$;
