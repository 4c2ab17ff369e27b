import '#contract/api.ts';
