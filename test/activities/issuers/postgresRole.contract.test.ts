import { issuerContract } from '../../contract/issuers/issuerContract.ts';
import { postgresSubject } from './postgresSubject.ts';

issuerContract('postgres-role', postgresSubject);
