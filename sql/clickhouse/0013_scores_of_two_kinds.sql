-- What the scorer answers: the rules of names and the model of accounts apart, each with its reasons; null is not known.

alter table `_e`.creator_follower_score {on_cluster}
    modify column score Nullable(Float64),              -- by names: 0 real, 0.33 a weak sign, 1 fake, null: see refused
    modify column reasons String default '[]' codec(ZSTD(1)),   -- [{feature, value, against}]
    rename column if exists scorer to scorer_version,             -- one version of both
    add column if not exists refused String default '' codec(ZSTD(1)) after score,
    add column if not exists account String default '{}' codec(ZSTD(1)) after reasons,  -- what was known of the follower's account
    add column if not exists account_score Nullable(Float64) after account,     -- 0 real to 1 fake, by what the account shows
    add column if not exists account_reasons String default '[]' codec(ZSTD(1)) after account_score;
