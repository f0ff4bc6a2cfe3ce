// Runs cases with grpc-js, and prints how each ended and their sum.
//
// Usage: caller.js ADDRESS CLIENT_ID LABEL CASE...

const { LABEL, NAMES } = require('./calling');

const CASES = { ...require('./standard'), ...require('./extras') };

async function main() {
  let passed = 0;
  for (const name of NAMES) {
    try {
      await CASES[name]();
      passed += 1;
      console.log(`ok   ${LABEL}: ${name}`);
    } catch (error) {
      console.log(`FAIL ${LABEL}: ${name}: ${error.message.replace(/\s+/g, ' ')}`);
    }
  }
  console.log(`${passed}/${NAMES.length} ${LABEL}`);
  process.exit(passed === NAMES.length ? 0 : 1);
}

main();
