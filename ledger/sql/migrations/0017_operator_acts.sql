-- What operators did over their port, who, by which API key, and why.
create table creditd.operator_act (
  act_no     bigint generated always as identity constraint operator_act_pkey primary key,
  kind       text not null,
  root_id    bigint not null,
  account_id bigint not null,
  entry      bigint,          -- of an adjustment and what is taken back: the first entry of the grant
  amount     bigint,          -- of an adjustment: what was granted
  chain_id   bigint,          -- of a link: on which chain, null on all
  address    bytea,
  api_key_id integer,         -- null: by a command
  signed_by  text not null,
  reason     text not null,
  at         timestamptz not null,
  constraint operator_act_is_known check (kind in ('adjustment', 'take_back', 'link', 'unlink', 'freeze', 'unfreeze')),
  constraint operator_act_is_signed check (length(signed_by) between 1 and 100),
  constraint operator_act_has_a_reason check (length(reason) between 1 and 500)
);
create index operator_act_by_account on creditd.operator_act (root_id, account_id, act_no);
