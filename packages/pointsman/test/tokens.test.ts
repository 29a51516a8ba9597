// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { Secret, TokenError } from '@pointsman/azure';
import type { AzureToken } from '@pointsman/azure';
import { commandWords } from '../src/config/azure-rules.js';
import { destinationOf } from '../src/run/destination.js';
import { entraTokenProvider } from '../src/tokens/entra-tokens.js';
import type { EntraAccess } from '../src/tokens/entra-tokens.js';
import type { Credential, IdentityLibrary } from '../src/tokens/identity-library.js';
import { commandTokenProvider } from '../src/tokens/token-command.js';
import { until } from './client-fixture.js';
import { CLOUD_HOST, KEY, POLICY, read, section } from './five-steps-fixture.js';

const NOW = Date.UTC(2026, 0, 1);
const folder = mkdtempSync(join(tmpdir(), 'tokens-'));
after(() => rmSync(folder, { recursive: true, force: true }));

let scripts = 0;
const REQUEST = { audience: 'sb://host/orders', newerThanMs: 0 };

/** What a program that consists of `code` makes of itself as a token command. */
function printed(code: string, timeoutMs?: number): Promise<AzureToken> {
  const script = join(folder, `${++scripts}.mjs`);
  writeFileSync(script, code);
  return commandTokenProvider([process.execPath, script], () => NOW, timeoutMs).get(REQUEST);
}

const base64url = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const JWT = `${base64url({ alg: 'RS256' })}.${base64url({ exp: NOW / 1000 + 4000 })}.c2ln`;
const OPAQUE = 'an-opaque-token';

/** A process that has ended and that nobody has asked for yet does not run. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/\) Z /u.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

describe('a command that prints a token', () => {
  it('may print the token alone, with its end inside of it', async () => {
    const token = await printed(`console.log(${JSON.stringify(JWT)})`);
    assert.deepEqual([token.kind, token.text.reveal(), token.expiresAtMs], ['jwt', JWT, NOW + 4_000_000]);
    const sas = 'SharedAccessSignature sr=sb%3A%2F%2Fhost%2F&sig=c2ln&se=1893456000&skn=policy';
    const other = await printed(`console.log(${JSON.stringify(sas)})`);
    assert.deepEqual([other.kind, other.expiresAtMs], ['sas', 1_893_456_000_000]);
  });

  it('may print JSON as az account get-access-token does, and as azd auth token does', async () => {
    const az = { accessToken: OPAQUE, expiresOn: '2026-01-01 03:00:00.000000', expires_on: NOW / 1000 + 60 };
    assert.equal((await printed(`console.log(${JSON.stringify(JSON.stringify(az))})`)).expiresAtMs, NOW + 60_000);
    const azd = { token: OPAQUE, expiresOn: '2026-01-01T02:00:00Z' };
    const token = await printed(`console.log(${JSON.stringify(JSON.stringify(azd))})`);
    assert.deepEqual([token.text.reveal(), token.expiresAtMs], [OPAQUE, NOW + 7_200_000]);
  });

  it('is not believed where it prints something else; what it printed is not repeated', async () => {
    const cases: readonly (readonly [code: string, message: RegExp])[] = [
      ['', /printed nothing$/],
      [`console.log('${OPAQUE}')`, /does not say when it ends.*expires_on/],
      [`console.log('WARNING: old\\n${JWT}')`, /something else beside a token/],
      [`console.log('[{"accessToken":"${JWT}"}]')`, /something else beside a token/],
      [`console.log('"${JWT}"')`, /something else beside a token/],
      [`console.log('{"accessToken": ')`, /not quite JSON/],
      [`console.log('{"accessToken": 7}')`, /without a text 'accessToken'/],
      [`process.stdout.write('x'.repeat(70000))`, /more than 65536 bytes/],
      [`console.error('no\\u001b[31m login'); process.exitCode = 3`, /ended with 3: no \[31m login$/],
    ];
    for (const [code, message] of cases) {
      await assert.rejects(printed(code), (error: unknown) => {
        assert.ok(error instanceof TokenError, String(error));
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /opaque|c2ln/);
        return true;
      });
    }
  });

  it('is killed when it takes too long, and waits for no answer from anybody', async () => {
    await assert.rejects(printed('setInterval(() => {}, 1000)', 200), /did not end within 200 ms and was killed/);
    const code = `process.stdin.on('end', () => console.log(${JSON.stringify(JWT)})).resume()`;
    assert.equal((await printed(code)).kind, 'jwt');
  });

  it('takes what it has started along when its connector stops', async () => {
    const file = join(folder, 'pid-of-child');
    const script = join(folder, `${++scripts}.mjs`);
    writeFileSync(
      script,
      `import { spawn } from 'node:child_process';
      import { writeFileSync, renameSync } from 'node:fs';
      const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' });
      writeFileSync('${file}.new', String(child.pid));
      renameSync('${file}.new', '${file}');`,
    );
    const provider = commandTokenProvider([process.execPath, script], () => NOW, 60_000);
    const failed = assert.rejects(provider.get(REQUEST), /it was stopped with the connector/);
    await until('its child', () => existsSync(file));
    provider.close?.();
    await failed;
    const pid = Number(readFileSync(file, 'utf8'));
    await until('the end of its child', () => !isRunning(pid));
  });

  it('is done when it has ended, whatever still holds on to its output', async () => {
    const file = join(folder, 'pid-of-holder');
    const hold = `import { spawn } from 'node:child_process';
      import { writeFileSync } from 'node:fs';
      const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 20000)'], { stdio: 'inherit' });
      child.unref();
      writeFileSync('${file}', String(child.pid));
      console.log(${JSON.stringify(JWT)});`;
    assert.equal((await printed(hold, 15_000)).kind, 'jwt');
    process.kill(Number(readFileSync(file, 'utf8')), 'SIGKILL');
  });

  it('shows in its complaint no token that it traces, and which signal ended it', async () => {
    const trace = `console.error('+ curl -H "Authorization: Bearer ${OPAQUE}" ${JWT} sr=a&sig=c2ln&se=1'); process.exitCode = 1`;
    await assert.rejects(printed(trace), (error: Error) => {
      assert.match(
        error.message,
        /ended with 1: \+ curl -H "Authorization: Bearer \[secret\]" \[secret\] sr=a&\[secret\]&se=1/,
      );
      return true;
    });
    const said = `--password hush1 {"client_secret": "hush2"} PASSWORD=hush3; AZURE_CLIENT_SECRET: 'hush4' accessToken=hush5`;
    await assert.rejects(
      printed(`console.error(${JSON.stringify(`+ login ${said}`)}); process.exitCode = 1`),
      (error: Error) => error.message.includes('login --password [secret]') && !error.message.includes('hush'),
    );
    await assert.rejects(printed(`process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000)`), /with SIGTERM$/);
    const provider = commandTokenProvider([process.execPath, `a\0${OPAQUE}`], () => NOW);
    await assert.rejects(provider.get(REQUEST), (error: Error) => {
      assert.match(error.message, /could not be started/);
      return error instanceof TokenError && !error.message.includes(OPAQUE);
    });
  });

  it('is looked for as it is written: no shell reads it', async () => {
    const provider = commandTokenProvider([join(folder, 'nothing here; echo x')], () => NOW);
    await assert.rejects(provider.get(REQUEST), /there is no such program: check azureTokenCommand/);
    assert.deepEqual(commandWords(`az  account "two words" 'it''s' ""`), ['az', 'account', 'two words', 'its', '']);
    assert.deepEqual(commandWords('az "account'), { wrong: 'has a " that is never closed' });
    assert.deepEqual(commandWords('  '), { wrong: 'names no program' });
  });
});

/** In place of the library of somebody else, which is not installed with us: it writes down what it is asked. */
function libraryThat(answer: () => Promise<{ token: string; expiresOnTimestamp: number } | null>): {
  readonly library: IdentityLibrary;
  readonly asked: unknown[][];
} {
  const asked: unknown[][] = [];
  const credential = (name: string): new (...given: unknown[]) => Credential =>
    class implements Credential {
      constructor(...given: unknown[]) {
        asked.push([name, ...given.filter((one) => !(one instanceof Object && 'getToken' in one))]);
      }
      getToken(scope: string): ReturnType<Credential['getToken']> {
        asked.push(['getToken', scope]);
        return answer();
      }
    };
  const names = [
    'ClientSecretCredential',
    'ClientCertificateCredential',
    'WorkloadIdentityCredential',
    'ManagedIdentityCredential',
    'AzureCliCredential',
    'AzureDeveloperCliCredential',
    'AzurePowerShellCredential',
    'ChainedTokenCredential',
  ];
  const library = Object.fromEntries(names.map((name) => [name, credential(name)])) as unknown as IdentityLibrary;
  return { library, asked };
}

const SCOPE = 'https://servicebus.azure.net//.default';

describe('tokens of Entra ID', () => {
  it('are waited for no longer than a minute, and not asked for any more then', async () => {
    let signal: AbortSignal | undefined;
    const { library } = libraryThat(() => new Promise(() => undefined));
    class Silent implements Credential {
      getToken(_scope: string, options?: { readonly abortSignal?: AbortSignal }): ReturnType<Credential['getToken']> {
        signal = options?.abortSignal;
        return new Promise(() => undefined);
      }
    }
    const load = (): Promise<IdentityLibrary> => Promise.resolve({ ...library, ManagedIdentityCredential: Silent });
    const provider = entraTokenProvider({ kind: 'managedIdentity', clientId: undefined }, () => NOW, load, 50);
    await assert.rejects(provider.get(REQUEST), (error: unknown) => {
      assert.ok(error instanceof TokenError);
      assert.deepEqual([error.kind, error.message], ['passing', 'Entra ID gave none within 50 ms']);
      return true;
    });
    assert.equal(signal?.aborted, true);
  });

  const ways: readonly (readonly [EntraAccess, readonly unknown[]])[] = [
    [
      { kind: 'clientSecret', tenantId: 't', clientId: 'c', secret: new Secret('s3cret') },
      ['ClientSecretCredential', 't', 'c', 's3cret'],
    ],
    [
      { kind: 'clientCertificate', tenantId: 't', clientId: 'c', file: '/app.pem', password: new Secret('pw') },
      ['ClientCertificateCredential', 't', 'c', { certificatePath: '/app.pem', certificatePassword: 'pw' }],
    ],
    [
      { kind: 'workloadIdentity', tenantId: undefined, clientId: 'c', tokenFile: '/token' },
      ['WorkloadIdentityCredential', { clientId: 'c', tokenFilePath: '/token' }],
    ],
    [{ kind: 'managedIdentity', clientId: undefined }, ['ManagedIdentityCredential', {}]],
    [{ kind: 'developerLogin', tenantId: 't' }, ['AzureCliCredential', { tenantId: 't' }]],
  ];
  for (const [access, first] of ways) {
    it(`come by ${access.kind} with what was configured, for Service Bus, once for all entities`, async () => {
      const expiresOnTimestamp = NOW + 3_600_000;
      const { library, asked } = libraryThat(async () => ({ token: JWT, expiresOnTimestamp }));
      const provider = entraTokenProvider(
        access,
        () => NOW,
        async () => library,
      );
      const tokens = await Promise.all([provider.get(REQUEST), provider.get(REQUEST)]);
      assert.deepEqual(asked[0], first);
      assert.deepEqual(
        asked.filter(([name]) => name === 'getToken'),
        [['getToken', SCOPE]],
      );
      assert.deepEqual(
        tokens.map(({ kind, text, expiresAtMs }) => [kind, text.reveal(), expiresAtMs]),
        Array.from({ length: 2 }, () => ['jwt', JWT, expiresOnTimestamp]),
      );
    });
  }

  it('that are refused are told from those that will come later, without the secret', async () => {
    const access: EntraAccess = { kind: 'clientSecret', tenantId: 't', clientId: 'c', secret: new Secret('s3cret') };
    const failing = async (error: Error): Promise<unknown> => {
      const { library } = libraryThat(async () => {
        throw error;
      });
      try {
        return await entraTokenProvider(
          access,
          () => NOW,
          async () => library,
        ).get(REQUEST);
      } catch (reason) {
        return reason;
      }
    };
    const refused = await failing(Object.assign(new Error('invalid_client:\n 7000215 s3cret'), { statusCode: 401 }));
    assert.ok(refused instanceof TokenError);
    assert.deepEqual([refused.kind, refused.message], ['setup', 'invalid_client: 7000215 [secret]']);
    const later = await failing(new Error('connect ETIMEDOUT'));
    assert.ok(later instanceof TokenError);
    assert.equal(later.kind, 'passing');
  });
});

describe('how a connector authenticates', () => {
  const mechanismsOf = (attributes: Record<string, string>): readonly (string | undefined)[] => {
    const result = read(section('connector', { name: 'azure', role: 'route-container', ...attributes }), {
      KEY,
      CONNECTION: `Endpoint=sb://${CLOUD_HOST}/;SharedAccessKeyName=${POLICY};SharedAccessKey=${KEY}`,
    });
    assert.ok(result.ok, result.ok ? '' : result.problems.map(({ message }) => message).join('\n'));
    const { mechanisms, tokens } = destinationOf(result.config.connectors[0]!, 'here', false);
    return [mechanisms.join(' '), tokens?.name];
  };
  const key = { saslUsername: POLICY, saslPassword: 'env:KEY' };
  const byKey = `key of policy '${POLICY}'`;

  it('stays with the key in SASL, unless tokens were asked for or the peer has no PLAIN', () => {
    const either = ['PLAIN MSSBCBS ANONYMOUS', byKey];
    assert.deepEqual(mechanismsOf({ connectionString: 'env:CONNECTION' }), either);
    assert.deepEqual(mechanismsOf({ host: CLOUD_HOST, ...key }), either);
    assert.deepEqual(mechanismsOf({ host: CLOUD_HOST, ...key, saslMechanisms: 'PLAIN' }), ['PLAIN', undefined]);
    assert.deepEqual(mechanismsOf({ host: CLOUD_HOST, ...key, azureAuthentication: 'plain' }), ['PLAIN', undefined]);
    assert.deepEqual(mechanismsOf({ connectionString: 'env:CONNECTION', azureAuthentication: 'plain' }), [
      'PLAIN',
      undefined,
    ]);
    assert.deepEqual(mechanismsOf({ host: 'broker', ...key }), ['PLAIN', undefined]);
  });

  it('uses tokens alone where they were asked for, at any host', () => {
    const alone = ['MSSBCBS ANONYMOUS', byKey];
    assert.deepEqual(mechanismsOf({ connectionString: 'env:CONNECTION', azureAuthentication: 'sas' }), alone);
    assert.deepEqual(mechanismsOf({ host: 'alias', ...key, azureAuthentication: 'sas' }), alone);
    assert.deepEqual(mechanismsOf({ host: CLOUD_HOST, azureAuthentication: 'managedIdentity' }), [
      'MSSBCBS ANONYMOUS',
      'Entra ID by managed identity',
    ]);
  });

  it('is refused with file and line where something is missing or too much', () => {
    const problems = (attributes: Record<string, string>): string[] => {
      const result = read(section('connector', { name: 'azure', host: CLOUD_HOST, ...attributes }), { KEY });
      return (result.ok ? result.warnings : result.problems).map(
        ({ line, message, hint }) => `${line}: ${message} | ${hint}`,
      );
    };
    const cases: readonly (readonly [Record<string, string>, RegExp])[] = [
      [{ azureAuthentication: 'token' }, /4: .*azureAuthentication/],
      [{ azureAuthentication: 'sas' }, /4: .*sas, but no saslUsername and no saslPassword/],
      [
        { azureAuthentication: 'clientSecret', azureTenantId: 't', azureClientId: 'c' },
        /4: .*no 'azureClientSecret' \| azureClientSecret: env:/,
      ],
      [
        { azureTenantId: 't' },
        /4: .*'azureTenantId', but no 'azureAuthentication' \| azureAuthentication: clientSecret, or/,
      ],
      [{ azureAuthentication: 'managedIdentity', azureTenantId: 't' }, /5: 'azureTenantId'.*has no effect/],
      [
        { azureAuthentication: 'managedIdentity', ...key },
        /5: .*both 'saslUsername' and azureAuthentication: managedIdentity/,
      ],
      [
        { azureAuthentication: 'sas', ...key, saslMechanisms: 'PLAIN' },
        /7: .*both 'saslMechanisms' and azureAuthentication: sas/,
      ],
      [{ azureAuthentication: 'command', azureTokenCommand: 'az "x' }, /5: 'azureTokenCommand'.*never closed/],
    ];
    for (const [attributes, expected] of cases) {
      assert.match(problems(attributes).join('\n'), expected);
      assert.equal(problems(attributes).join('\n').includes('az "x'), false);
    }
  });
});
