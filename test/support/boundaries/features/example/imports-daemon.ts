import '#daemon/main.ts';
