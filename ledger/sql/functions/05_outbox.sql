-- What others are to hear of is written with what happened, in the same transaction.

create or replace function creditd.announce(p_root bigint, p_account bigint, p_topic text, p_body jsonb) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  return;
end $$;
