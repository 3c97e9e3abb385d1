-- Whether the configuration left a rule out when the chain's watcher last began: then `to_block` is how far it was
-- followed, and a reorg below that takes it back.
alter table creditd.rule add column is_left boolean not null default false;

-- The head may stand still so long before that is an alarm; null: however long it likes.
alter table creditd.chain add column head_alarm_seconds integer;
