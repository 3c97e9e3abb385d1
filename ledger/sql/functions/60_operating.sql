-- Which functions run these books: answering proves that they run at all.
create or replace function creditd.release_digest() returns text
language plpgsql stable security definer set search_path = creditd, pg_temp as $$
begin
  return (select r.functions from release r);
end $$;
