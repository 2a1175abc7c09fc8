// Preloaded by a test: makes this process look like an older Node. Processes that it starts are not affected.
Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } });
