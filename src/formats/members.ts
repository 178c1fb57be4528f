import { printable, usage, type ImageError } from '../errors.js'
import type { WrappedFile } from './wrapper.js'

/** What one of several disks can be called. */
type Named = Pick<WrappedFile, 'name' | 'id'>

const diskNames = /\.(?:img|raw|dd|iso|bin|vhdx?|qcow2?|mrimgx|vmdk|vdi|dmg|hdd|hds|wic|usb|sdcard)$/i

/** What a user may call one disk of several, and what it then means. */
const kinds: Readonly<Record<string, (member: Named, number: number) => string | undefined>> = {
  id: ({ id }) => id,
  file: ({ name }) => name,
  number: (_, number) => String(number),
}

/**
 * The file that is meant: the one that was asked for, by its name, its id or its number; without that the only one, or
 * the only one that is named as a disk.
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
  if (wanted !== undefined && !anonymous) return wantedMember(named.length > 0 ? named : members, archive, wanted)
  const [only, ...others] = members.length === 1 ? members : named
  if (only !== undefined && others.length === 0) return only
  if (members.length === 0) throw usage('E_WHICH_MEMBER', `${archive} holds no file with a disk in it`)
  if (named.length === 0)
    throw usage('E_WHICH_MEMBER', `${archive} holds no file that is named as a disk: ${listed(members)}`, {
      hint: 'Unpack it first, and name the disk.',
    })
  throw usage('E_WHICH_MEMBER', `${archive} holds several disks: ${listed(named)}`, {
    hint: `Say which one: ${archive}@disk=${spelling(named[0], 1)}`,
  })
}

/** No disk of those is called that. */
export function noMember(archive: string, wanted: string, members: readonly Named[]): ImageError {
  return usage('E_NO_MEMBER', `${archive} holds no disk ${printable(wanted)}`, {
    hint: members.length === 0 ? 'It is one image; leave out @disk=.' : `It holds ${listed(members)}.`,
  })
}

function wantedMember<Member extends Named>(members: readonly Member[], archive: string, wanted: string): Member {
  const [, kind, text] = /^(id|file|number):(.*)$/s.exec(wanted) ?? []
  const known = kind === undefined ? undefined : kinds[kind]
  const exact = known === undefined ? [] : members.filter((member, index) => known(member, index + 1) === text)
  const found =
    exact.length > 0
      ? exact
      : members.filter((member, index) => Object.values(kinds).some((of) => of(member, index + 1) === wanted))
  const [only, ...others] = found
  if (only === undefined) throw noMember(archive, wanted, members)
  if (others.length === 0) return only
  const numbers = found.map((member) => `@disk=number:${members.indexOf(member) + 1}`)
  throw usage('E_WHICH_MEMBER', `${archive}: "${printable(wanted)}" can mean several disks: ${listed(found)}`, {
    hint: `Say which one: ${numbers.slice(0, 10).join(' or ')}.`,
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
