alter table creditd.chain
  add column parted_number bigint,              -- halted by a reorg: the last block that the node has too
  add column other_hash bytea,                  -- and what it shows where the confirmed block was
  add column indexed_at timestamptz,            -- when the cursor moved last
  add column cursor_alarm_seconds integer,      -- it may stand still so long while there are blocks to read
  add column finality_alarm_seconds integer;    -- the last final block may be so much older than the last one

-- That another block than the confirmed one is true: who decided it, and why. It is for the halt at hand: a
-- later reorg is decided anew.
create table creditd.accepted_reorg (
  chain_id    bigint not null,
  number      bigint not null,     -- the confirmed block that the chain left
  left_hash   bytea not null,
  new_hash    bytea not null,      -- what stands there instead
  reorgs      bigint not null,     -- how many the chain had had by then
  accepted_by text not null,       -- the operator, by whatever name it gave
  reason      text not null,
  at          timestamptz not null,
  constraint accepted_reorg_pkey primary key (chain_id, number, left_hash, new_hash, reorgs),
  constraint accepted_reorg_is_another_block check (left_hash <> new_hash),
  constraint accepted_reorg_is_signed check (length(accepted_by) between 1 and 100),
  constraint accepted_reorg_has_a_reason check (length(reason) between 1 and 500)
);

-- How the nodes of a chain fare, as its watcher last knew.
create table creditd.upstream_status (
  chain_id bigint not null,
  node     text not null,          -- without what may be secret of its address
  trouble  text,                   -- null: it serves
  since    timestamptz not null,
  constraint upstream_status_pkey primary key (chain_id, node)
);

-- The alarms that have been told of and are not over. Chain 0 stands for the books.
create table creditd.alarm (
  chain_id bigint not null,
  kind     text not null,
  said     text not null,
  since    timestamptz not null,
  constraint alarm_pkey primary key (chain_id, kind)
);

-- How far a chain's final blocks have been read again, round and round, and what differed.
create table creditd.rereading (
  chain_id    bigint not null constraint rereading_pkey primary key,
  next_number bigint not null,
  rounds      bigint not null default 0,
  found       text,                -- null: what was read is what the books say
  found_first bigint,              -- what differs lies in these blocks, until they are read again and do not
  found_last  bigint
);

-- How what a source's contract says is staked differed from the books, when it was asked last; null: not at all.
alter table creditd.rule add column total_said text;
create index stake_below_zero on creditd.stake (rule_id) where balance < 0;

-- What the last audit of the books found.
create table creditd.audited (
  one_row  boolean not null default true constraint audited_pkey primary key,
  at       timestamptz not null,
  breaches integer not null,
  said     text not null,
  constraint audited_is_one_row check (one_row)
);
