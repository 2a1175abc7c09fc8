// Stands in for the worker or the API where only the runtime around them is under test: says that it is ready, serves
// nothing, ends when told to. STAND_IN_ENDS makes it end by itself right after.
console.log(JSON.stringify({ msg: 'ready' }));
if (process.env['STAND_IN_ENDS'] !== undefined) {
  console.log('the last words of a stand-in');
  process.exit(3);
}
process.on('SIGTERM', () => process.exit(0));
setInterval(() => undefined, 60_000);
