-- A wallet earns for its own account until it is linked to another; from then on for that one. The
-- wallet's row is locked before any account, and before whatever a link decides is looked at.

-- Who earns by a wallet now. The wallet's row stays as it is until the caller's transaction ends.
create or replace function creditd.earning_account(
  p_chain bigint, p_address bytea, out root bigint, out account bigint
)
language plpgsql set search_path = creditd, pg_temp as $$
begin
  select coalesce(w.linked_root, w.root_id), coalesce(w.linked_account, w.account_id) into strict root, account
    from wallet w where w.chain_id = p_chain and w.address = p_address for share;
end $$;
