-- What operators did about a source's logs, beside what they did to accounts.
alter table creditd.operator_act
  alter column root_id drop not null,
  alter column account_id drop not null,
  add column rule_id integer,      -- of a replay: which source's logs
  add column first_block bigint,   -- of a replay: in which blocks
  add column last_block bigint,    -- null: in all from the first on
  drop constraint operator_act_is_known,
  add constraint operator_act_is_known
    check (kind in ('adjustment', 'take_back', 'link', 'unlink', 'freeze', 'unfreeze', 'replay')),
  add constraint operator_act_is_about_an_account_or_a_source
    check (
      kind = 'replay' and num_nulls(rule_id, first_block) = 0 and num_nonnulls(root_id, account_id) = 0
      or kind <> 'replay' and num_nulls(root_id, account_id) = 0 and num_nonnulls(rule_id, first_block, last_block) = 0);
