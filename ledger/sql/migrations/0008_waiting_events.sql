-- Events that wait longer than for their block to be confirmed. Each stays pending until it is due.
create table creditd.waiting_event (
  event_no   bigint not null constraint waiting_event_pkey primary key,
  chain_id   bigint not null,
  wallet     bytea not null,
  due_number bigint not null    -- it is granted with this block, once that is confirmed
);
create index waiting_event_by_due on creditd.waiting_event (chain_id, due_number);
create index waiting_event_by_wallet on creditd.waiting_event (wallet, chain_id);
