-- How far an account may go below nothing. The line is a lot: its `amount` follows this limit, but
-- never below what is in use of it.
create table creditd.overdraft (
  root_id    bigint not null,
  account_id bigint not null,
  lot_no     bigint not null,
  amount     bigint not null,
  constraint overdraft_pkey primary key (root_id, account_id),
  constraint overdraft_amount_is_in_range check (amount between 0 and 1000000000000000000)
);
