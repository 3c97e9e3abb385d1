-- Organisations and their members.

-- A charge that names a member: paid by what the member has, or by the organisation's pool.
create or replace function creditd.charge_of_member(
  p_root bigint, p_account bigint, p_app integer, p_key uuid, p_request uuid, p_cost bigint,
  p_operation integer, p_units bigint, p_version integer
) returns creditd.charge_outcome
language plpgsql set search_path = creditd, pg_temp as $$
begin
  return charge_with_care(p_root, p_account, p_app, p_key, p_request, p_cost, p_operation, p_units, p_version, null);
end $$;
