-- Who froze an account or opened it again, and why: written with the change. What a debt froze says so
-- by its status, and its entries say which.
create table creditd.status_change (
  root_id    bigint not null,
  account_id bigint not null,
  change_no  bigint not null,   -- 1, 2, 3 … of the account
  status     text not null,     -- since then
  changed_by text not null,     -- the operator, by whatever name it gave
  reason     text not null,
  at         timestamptz not null,
  constraint status_change_pkey primary key (root_id, account_id, change_no),
  constraint status_change_is_known check (status in ('open', 'frozen')),
  constraint status_change_is_signed check (length(changed_by) between 1 and 100),
  constraint status_change_has_a_reason check (length(reason) between 1 and 500)
);
