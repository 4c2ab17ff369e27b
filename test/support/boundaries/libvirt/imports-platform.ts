import '#platform/process.ts';
