// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chownSync, lstatSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { hashPassword, parsePasswordHash } from '../src/auth/password-hash.js';
import { saslSettingsOf } from '../src/auth/sasl-settings.js';
import { parseUsers, replaceUserFile, unfitUserName, withUser } from '../src/auth/user-file.js';
import { runUserCommand } from '../src/auth/user-command.js';
import { Users } from '../src/auth/users.js';
import { opening } from './client-fixture.js';
import type { Opened } from './client-fixture.js';
import { toolIo } from './tools-fixture.js';

const HASH = `$scrypt$ln=14,r=8,p=1$${'A'.repeat(22)}$${'B'.repeat(43)}`;

function folderOf(opened: Opened): string {
  const folder = mkdtempSync(join(tmpdir(), 'users-'));
  opened.later(() => rmSync(folder, { recursive: true }));
  return folder;
}

describe('a file of users', () => {
  it('keeps no password, and the same one differently each time', async () => {
    const [one, two] = [await hashPassword('pa:ss'), await hashPassword('pa:ss')];
    assert.notEqual(one, two);
    assert.doesNotMatch(one, /pa:ss/);
    assert.deepEqual(parsePasswordHash(one)?.hash.length, 32);
  });

  it('is refused with its line where it is something else, and nothing of it is shown', () => {
    for (const line of ['ann', 'ann:secret', `:${HASH}`, `ann:${HASH.replace('ln=14', 'ln=30')}`, ` ann:${HASH}`]) {
      assert.throws(
        () => parseUsers(`# users\n\n${line}\n`, 'f.users'),
        (error: Error) => /^f\.users:3: .*pointsman user add/.test(error.message) && !/secret|BBBB/.test(error.message),
      );
    }
    assert.deepEqual([...parseUsers(`# a: b\n\nann:${HASH}\nbob@x.org:${HASH}\r\n`, 'f').keys()], ['ann', 'bob@x.org']);
  });

  it('changes by one entry, and keeps every other line', () => {
    const text = `# ours\nann:${HASH}\nbob:1\nann:2\n`;
    assert.equal(withUser(text, 'ann', 'new'), '# ours\nann:new\nbob:1\n');
    assert.equal(withUser(text, 'ann', undefined), '# ours\nbob:1\n');
    assert.equal(withUser(text, 'an', 'x'), `${text}an:x\n`);
    assert.equal(withUser('', 'ann', 'x'), 'ann:x\n');
    assert.equal(withUser('ann:x\n', 'ann', undefined), '');
  });

  it('has no names that would not be read again', () => {
    for (const name of ['', 'a:b', '#a', ' a', 'a ', 'a\nb', 'x'.repeat(256)])
      assert.notEqual(unfitUserName(name), undefined);
    for (const name of ['ann', 'ann@example.org', 'Änn', 'a b']) assert.equal(unfitUserName(name), undefined);
  });

  it(
    'stands where saslConfigDir leads, or beside the database that the old settings name',
    opening(async (opened) => {
      const saslConfigDir = folderOf(opened);
      const settings = (): unknown => saslSettingsOf({ saslConfigDir, saslConfigName: 'r' });
      const at = (name: string): string => join(saslConfigDir, name);
      assert.deepEqual(settings(), { users: at('r.users'), mechanisms: undefined, formerUsers: undefined });
      writeFileSync(
        at('r.conf'),
        `# old\npwcheck_method: auxprop\nsasldb_path: ${at('db')}\nmech_list: PLAIN external\n`,
      );
      assert.deepEqual(settings(), {
        users: at('db.users'),
        mechanisms: ['PLAIN', 'EXTERNAL'],
        formerUsers: undefined,
      });
      writeFileSync(at('db'), '');
      writeFileSync(at('r.users'), '');
      assert.deepEqual(settings(), { users: at('r.users'), mechanisms: ['PLAIN', 'EXTERNAL'], formerUsers: at('db') });
    }),
  );

  it(
    'is read anew when it changes, and lets in who stands in it',
    opening(async (opened) => {
      const saslConfigDir = folderOf(opened);
      const users = new Users({ saslConfigDir, saslConfigName: 'r' });
      const file = join(saslConfigDir, 'r.users');
      const reasonOf = async (name: string, password: string): Promise<string | undefined> => {
        const login = await users.logIn(name, password);
        return login.ok ? undefined : login.reason;
      };
      assert.match(
        (await reasonOf('ann', 'pw')) ?? '',
        /there is no file of users .*r\.users\. Write one with: pointsman user add/,
      );
      writeFileSync(file, `ann:${await hashPassword('pw')}\n`);
      assert.deepEqual(
        await Promise.all([reasonOf('ann', 'pw'), reasonOf('ann', 'pw'), reasonOf('ann', 'PW'), reasonOf('bob', 'pw')]),
        [undefined, undefined, "the password is wrong of user 'ann'", "there is no user 'bob'"],
      );
      writeFileSync(file, `# changed\nann:${await hashPassword('other')}\n`);
      assert.deepEqual(
        [await reasonOf('ann', 'pw'), await reasonOf('ann', 'other')],
        ["the password is wrong of user 'ann'", undefined],
      );
      writeFileSync(file, 'ann:other\n');
      assert.match((await reasonOf('ann', 'other')) ?? '', /r\.users:1: what stands behind the name is no hash/);
    }),
  );

  it(
    'turns clients away that would have to wait too long',
    opening(async (opened) => {
      const saslConfigDir = folderOf(opened);
      writeFileSync(join(saslConfigDir, 'r.users'), `ann:${HASH.replace('ln=14', 'ln=10')}\n`);
      const users = new Users({ saslConfigDir, saslConfigName: 'r' });
      const logins = await Promise.all(Array.from({ length: 500 }, (_, n) => users.logIn('ann', `wrong ${n}`)));
      const busy = logins.filter((login) => !login.ok && login.busy === true).length;
      assert.equal(busy, 98);
    }),
  );
});

describe('a file of users that is written anew', () => {
  it(
    'stays where a link leads, and with who may read it',
    opening(async (opened) => {
      const folder = mkdtempSync(join(tmpdir(), 'pointsman-users-'));
      opened.later(() => rmSync(folder, { recursive: true }));
      const [file, link] = [join(folder, 'real.users'), join(folder, 'router.users')];
      writeFileSync(file, '', { mode: 0o640 });
      symlinkSync('real.users', link);
      // Another group than new files get; who may not give files to one has to do without that part.
      const group =
        process.getgroups?.().find((one) => one !== statSync(file).gid) ?? (process.getuid?.() === 0 ? 12 : undefined);
      if (group !== undefined) chownSync(file, statSync(file).uid, group);
      const before = statSync(file);
      replaceUserFile(link, '# anew\n');
      const now = statSync(file);
      assert.ok(lstatSync(link).isSymbolicLink());
      assert.equal(readFileSync(file, 'utf8'), '# anew\n');
      assert.deepEqual([now.uid, now.gid, now.mode], [before.uid, before.gid, before.mode]);
    }),
  );

  it(
    'holds up nobody where it is no file at all',
    opening(async (opened) => {
      const folder = mkdtempSync(join(tmpdir(), 'pointsman-users-'));
      opened.later(() => rmSync(folder, { recursive: true }));
      execFileSync('mkfifo', [join(folder, 'r.users')]);
      const users = new Users({ saslConfigDir: folder, saslConfigName: 'r' });
      const login = await users.logIn('ann', 'x');
      assert.match(login.ok ? '' : login.reason, /there is no user 'ann'/);
    }),
  );
});

describe('pointsman user', () => {
  const run = async (
    args: readonly string[],
    input = '',
  ): Promise<readonly [status: number, out: string, err: string]> => {
    const io = toolIo(input);
    const status = await runUserCommand(args, io);
    return [status, io.stdoutText(), io.stderrText()];
  };

  it(
    'adds, changes, lists and removes',
    opening(async (opened) => {
      const folder = folderOf(opened);
      const file = join(folder, 'r.users');
      const at = ['--file', file];
      assert.deepEqual(await run(['add', 'ann', ...at], 'pw\nmore\n'), [0, `ann added in ${file}\n`, '']);
      assert.equal(statSync(file).mode & 0o777, 0o600);
      assert.deepEqual(await run(['add', 'bob@x.org', ...at], 'pw'), [0, `bob@x.org added in ${file}\n`, '']);
      const before = readFileSync(file, 'utf8');
      assert.deepEqual(await run(['add', 'ann', ...at], 'new\n'), [0, `ann changed in ${file}\n`, '']);
      assert.notEqual(readFileSync(file, 'utf8'), before);
      assert.deepEqual(await run(['list', ...at]), [0, 'ann\nbob@x.org\n', '']);
      const users = new Users({ saslConfigDir: folder, saslConfigName: 'r' });
      assert.deepEqual([(await users.logIn('ann', 'new')).ok, (await users.logIn('ann', 'pw')).ok], [true, false]);
      assert.deepEqual(await run(['remove', 'ann', ...at]), [0, `ann removed from ${file}\n`, '']);
      assert.deepEqual(await run(['remove', 'ann', ...at]), [
        1,
        '',
        `pointsman user: there is no user 'ann' in ${file}\n`,
      ]);
    }),
  );

  it(
    'finds the file by the configuration of the router',
    opening(async (opened) => {
      const folder = folderOf(opened);
      const conf = join(folder, 'r.conf');
      writeFileSync(conf, `router {\n  id: A\n  saslConfigDir: ${folder}\n  saslConfigName: sasl\n}\n`);
      assert.equal((await run(['add', 'ann', '-c', conf], 'pw'))[1], `ann added in ${join(folder, 'sasl.users')}\n`);
      writeFileSync(conf, `router {\n  id: A\n  saslConfigDir: ${folder}/none\n}\n`);
      assert.match(
        (await run(['add', 'ann', '-c', conf], 'pw'))[2],
        /there is no folder .*none, the saslConfigDir of .*make it first/,
      );
    }),
  );

  it('says what is wrong, with status 2 for arguments and 1 for the rest, and changes nothing', async () => {
    const file = ['--file', '/nowhere/x.users'];
    for (const [args, input, status, why] of [
      [[], '', 2, /say what to do: add, remove or list/],
      [['put', 'ann', ...file], '', 2, /there is no 'put'/],
      [['add', ...file], '', 2, /add takes one name/],
      [['add', 'ann', 'pw', ...file], '', 2, /the password is not an argument/],
      [['add', 'ann'], 'pw', 2, /either -c CONFIG or --file FILE/],
      [['add', 'a:b', ...file], 'pw', 2, /'a:b' cannot be a name: it has a colon/],
      [['add', 'ann', '--nothing'], '', 2, /--nothing/],
      [['add', 'ann', ...file], '\n', 1, /an empty password is none/],
      [['add', 'ann', ...file], 'pw', 1, /\/nowhere\/x\.users cannot be written: its folder is not there/],
      [['list', ...file], '', 1, /there is no file of users/],
    ] as const) {
      const [ended, , err] = await run(args, input);
      assert.equal(ended, status, args.join(' '));
      assert.match(err, why);
    }
    assert.match((await run(['--help']))[1], /^Usage: pointsman user add NAME/);
  });
});
