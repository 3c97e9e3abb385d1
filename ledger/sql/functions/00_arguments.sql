-- What is asked of the books is asked in full. Where a null is compared with anything the answer is null, and a
-- check that asks for what is wrong lets it pass: so nulls are refused before anything is looked at.

-- Raises where an argument is missing: `p_missing` says it of each of `p_names`, which are separated by blanks.
create or replace function creditd.refuse_null(p_names text, p_missing boolean[]) returns void
language plpgsql set search_path = creditd, pg_temp as $$
begin
  if true = any (p_missing) then
    raise exception '%: a value is missing', split_part(p_names, ' ', array_position(p_missing, true))
      using errcode = '22023';
  end if;
end $$;

-- Whether an array has not just so many values, the first of them in place 1: those of a statement are read
-- side by side, and where one ends before the others there is null.
create or replace function creditd.lacks(p_values anyarray, p_count integer) returns boolean
language sql immutable as $$
  select cardinality(array_remove(p_values, null)) is distinct from coalesce(p_count, -1)
    or coalesce(array_lower(p_values, 1), 1) <> 1
$$;
