-- Wallets of which a contract said another stake than the books have, when it was asked last.
create table creditd.differing_stake (
  rule_id      integer not null,
  wallet       bytea not null,
  block_number bigint not null,
  said         numeric not null,   -- base units, by the contract at that block …
  booked       numeric not null,   -- … and by the books
  constraint differing_stake_pkey primary key (rule_id, wallet)
);

-- The last wallet that a source's contracts were asked for, round and round; null: a round begins.
alter table creditd.rule add column asked_after bytea;
