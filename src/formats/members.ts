import { printable, usage, type ImageError } from '../errors.js'
import type { WrappedFile } from './wrapper.js'

/** What one of several disks can be called. */
type Named = Pick<WrappedFile, 'name' | 'id' | 'isBase'>

const diskNames = /\.(?:img|raw|dd|iso|bin|vhdx?|qcow2?|mrimgx|vmdk|vdi|dmg|hdd|hds|wic|usb|sdcard)$/i

const unpackHint = 'Unpack it first, and name the disk.'

/** What a user may call one disk of several, and what it then means. */
const kinds: Readonly<Record<string, (member: Named, number: number) => string | undefined>> = {
  id: ({ id }) => id,
  file: ({ name }) => name,
  number: (_, number) => String(number),
}

/**
 * The file that is meant: the one that was asked for, by its name, its id or its number; without that the only one, or
 * the only one that is named as a disk and is not just what others lie over.
 * @param archive what messages call the file that holds them. @throws ImageError usage E_WHICH_MEMBER, E_NO_MEMBER.
 */
export function chooseMember<Member extends Named>(
  members: readonly Member[],
  archive: string,
  wanted: string | undefined,
): Member {
  const named = members.filter(({ name, id }) => id !== undefined || (name !== undefined && diskNames.test(name)))
  // Compressed files have one thing in them: what is asked for may be further in.
  const anonymous = members.length === 1 && members[0]?.name === undefined
  if (wanted !== undefined && !anonymous)
    return wantedMember(named.length > 0 ? named : members, members, archive, wanted)
  const tops = named.filter(({ isBase }) => isBase !== true)
  const meant = tops.length === 0 ? named : tops
  const [only, ...others] = members.length === 1 ? members : meant
  if (only !== undefined && others.length === 0) return only
  if (members.length === 0) throw usage('E_WHICH_MEMBER', `${archive} holds no file with a disk in it`)
  if (named.length === 0)
    throw usage('E_WHICH_MEMBER', `${archive} holds no file that is named as a disk: ${listed(members)}`, {
      hint: unpackHint,
    })
  throw usage('E_WHICH_MEMBER', `${archive} holds several disks: ${listed(meant)}`, {
    hint: `Say which one: ${archive}@disk=${spelling(only, only === undefined ? 1 : named.indexOf(only) + 1)}`,
  })
}

/** No disk of those is called that. */
export function noMember(archive: string, wanted: string, members: readonly Named[]): ImageError {
  return usage('E_NO_MEMBER', `${archive} holds no disk ${printable(wanted)}`, {
    hint: members.length === 0 ? 'It is one image; leave out @disk=.' : `It holds ${listed(members)}.`,
  })
}

/** @param members the disks as far as names say, which are numbered. @param all every file, found by its name only. */
function wantedMember<Member extends Named>(
  members: readonly Member[],
  all: readonly Member[],
  archive: string,
  wanted: string,
): Member {
  const [, kind, text] = /^(id|file|number):(.*)$/s.exec(wanted) ?? []
  const known = kind === undefined ? undefined : kinds[kind]
  const exact = known === undefined ? [] : members.filter((member, index) => known(member, index + 1) === text)
  const ways = [
    () => exact,
    () => members.filter((member, index) => Object.values(kinds).some((of) => of(member, index + 1) === wanted)),
    () => all.filter(({ name }) => name === (kind === 'file' ? text : wanted)),
    () => all.filter(({ name }) => name?.endsWith(`/${wanted}`) === true),
  ]
  let found: readonly Member[] = []
  for (const way of ways) if (found.length === 0) found = way()
  const [only, ...others] = found
  if (only === undefined) throw noMember(archive, wanted, members)
  if (others.length === 0) return only
  const numbers = found.flatMap((member) =>
    members.includes(member) ? [`@disk=number:${members.indexOf(member) + 1}`] : [],
  )
  throw usage('E_WHICH_MEMBER', `${archive}: "${printable(wanted)}" can mean several disks: ${listed(found)}`, {
    hint: numbers.length === 0 ? unpackHint : `Say which one: ${numbers.slice(0, 10).join(' or ')}.`,
  })
}

function spelling(member: Named | undefined, number: number): string {
  const name = member?.name ?? member?.id
  return name !== undefined && /^[\w.-]+$/.test(name) ? name : String(number)
}

function listed(members: readonly Named[]): string {
  const shown = members.slice(0, 10).map(({ name, id }) => printable(name ?? id ?? ''))
  return shown.join(', ') + (members.length > 10 ? ` and ${members.length - 10} more` : '')
}
