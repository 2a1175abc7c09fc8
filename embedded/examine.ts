// Run by `tenure doctor`: prints the examination of this machine and of the running Tenure as one JSON document.
import { stateDirectory } from '../cli/stateDirectory.ts';
import { examine } from './examination.ts';

process.stdout.write(JSON.stringify(await examine({ stateDir: stateDirectory(), environment: process.env })));
